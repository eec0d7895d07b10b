//! Names of ports, for `-R`: a table of our own, so that a replay does not depend on the
//! `/etc/services` of the machine that it runs on.
//!
//! The names are IANA's, for the ports that Debian's netbase 6.4 lists.

use capture_common::snapshot::L4Proto;
use std::fmt;

/// How ports print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PortNames {
    /// As numbers.
    #[default]
    Numbers,
    /// As names of services where they have one.
    Services,
}

impl PortNames {
    /// The ports of a protocol.
    #[inline]
    pub fn of(self, proto: L4Proto) -> PortsOf {
        PortsOf { names: self, proto }
    }

    /// A port of a protocol, to print.
    pub(crate) fn port(self, port: u16, proto: L4Proto) -> Port {
        Port { port, name: self.of(proto).name(port) }
    }
}

/// How the ports of one protocol print.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortsOf {
    names: PortNames,
    proto: L4Proto,
}

impl PortsOf {
    /// The name to print instead of the number. A port whose protocol is not known has the name
    /// of either.
    #[inline]
    pub fn name(self, port: u16) -> Option<&'static str> {
        match self.names {
            PortNames::Numbers => None,
            PortNames::Services => service(port, self.proto),
        }
    }
}

/// A port, to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    port: u16,
    name: Option<&'static str>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => self.port.fmt(f),
        }
    }
}

fn service(port: u16, proto: L4Proto) -> Option<&'static str> {
    let at = SERVICES.binary_search_by_key(&port, |row| row.0).ok()?;
    let (_, tcp, udp) = SERVICES[at];
    let name = match proto {
        L4Proto::Tcp => tcp,
        L4Proto::Udp => udp,
        _ if tcp.is_empty() => udp,
        _ => tcp,
    };
    (!name.is_empty()).then_some(name)
}

/// Port, its name with TCP, its name with UDP; empty where it has none.
#[rustfmt::skip]
const SERVICES: &[(u16, &str, &str)] = &[
    (1, "tcpmux", ""),
    (7, "echo", "echo"),
    (9, "discard", "discard"),
    (11, "systat", ""),
    (13, "daytime", "daytime"),
    (15, "netstat", ""),
    (17, "qotd", ""),
    (19, "chargen", "chargen"),
    (20, "ftp-data", ""),
    (21, "ftp", "fsp"),
    (22, "ssh", ""),
    (23, "telnet", ""),
    (25, "smtp", ""),
    (37, "time", "time"),
    (43, "whois", ""),
    (49, "tacacs", "tacacs"),
    (53, "domain", "domain"),
    (67, "", "bootps"),
    (68, "", "bootpc"),
    (69, "", "tftp"),
    (70, "gopher", ""),
    (79, "finger", ""),
    (80, "http", ""),
    (88, "kerberos", "kerberos"),
    (102, "iso-tsap", ""),
    (104, "acr-nema", ""),
    (106, "poppassd", ""),
    (110, "pop3", ""),
    (111, "sunrpc", "sunrpc"),
    (113, "auth", ""),
    (119, "nntp", ""),
    (123, "", "ntp"),
    (135, "epmap", ""),
    (137, "", "netbios-ns"),
    (138, "", "netbios-dgm"),
    (139, "netbios-ssn", ""),
    (143, "imap2", ""),
    (161, "snmp", "snmp"),
    (162, "snmp-trap", "snmp-trap"),
    (163, "cmip-man", "cmip-man"),
    (164, "cmip-agent", "cmip-agent"),
    (174, "mailq", ""),
    (177, "", "xdmcp"),
    (179, "bgp", ""),
    (199, "smux", ""),
    (209, "qmtp", ""),
    (210, "z3950", ""),
    (213, "", "ipx"),
    (319, "", "ptp-event"),
    (320, "", "ptp-general"),
    (345, "pawserv", ""),
    (346, "zserv", ""),
    (369, "rpc2portmap", "rpc2portmap"),
    (370, "codaauth2", "codaauth2"),
    (371, "", "clearcase"),
    (389, "ldap", "ldap"),
    (427, "svrloc", "svrloc"),
    (443, "https", "https"),
    (444, "snpp", ""),
    (445, "microsoft-ds", ""),
    (464, "kpasswd", "kpasswd"),
    (465, "submissions", ""),
    (487, "saft", ""),
    (500, "", "isakmp"),
    (512, "exec", "biff"),
    (513, "login", "who"),
    (514, "shell", "syslog"),
    (515, "printer", ""),
    (517, "", "talk"),
    (518, "", "ntalk"),
    (520, "", "route"),
    (538, "gdomap", "gdomap"),
    (540, "uucp", ""),
    (543, "klogin", ""),
    (544, "kshell", ""),
    (546, "", "dhcpv6-client"),
    (547, "", "dhcpv6-server"),
    (548, "afpovertcp", ""),
    (554, "rtsp", "rtsp"),
    (563, "nntps", ""),
    (587, "submission", ""),
    (607, "nqs", ""),
    (623, "", "asf-rmcp"),
    (628, "qmqp", ""),
    (631, "ipp", ""),
    (636, "ldaps", "ldaps"),
    (646, "ldp", "ldp"),
    (655, "tinc", "tinc"),
    (706, "silc", ""),
    (749, "kerberos-adm", ""),
    (750, "kerberos4", "kerberos4"),
    (751, "kerberos-master", "kerberos-master"),
    (752, "", "passwd-server"),
    (754, "krb-prop", ""),
    (775, "moira-db", ""),
    (777, "moira-update", ""),
    (779, "", "moira-ureg"),
    (783, "spamd", ""),
    (853, "domain-s", "domain-s"),
    (871, "supfilesrv", ""),
    (873, "rsync", ""),
    (989, "ftps-data", ""),
    (990, "ftps", ""),
    (992, "telnets", ""),
    (993, "imaps", ""),
    (995, "pop3s", ""),
    (1080, "socks", ""),
    (1093, "proofd", ""),
    (1094, "rootd", ""),
    (1099, "rmiregistry", ""),
    (1127, "supfiledbg", ""),
    (1178, "skkserv", ""),
    (1194, "openvpn", "openvpn"),
    (1210, "", "predict"),
    (1236, "rmtcfg", ""),
    (1313, "xtel", ""),
    (1314, "xtelw", ""),
    (1352, "lotusnote", ""),
    (1433, "ms-sql-s", ""),
    (1434, "", "ms-sql-m"),
    (1524, "ingreslock", ""),
    (1645, "datametrics", "datametrics"),
    (1646, "sa-msg-port", "sa-msg-port"),
    (1649, "kermit", ""),
    (1677, "groupwise", ""),
    (1701, "", "l2f"),
    (1812, "radius", "radius"),
    (1813, "radius-acct", "radius-acct"),
    (2000, "cisco-sccp", ""),
    (2049, "nfs", "nfs"),
    (2086, "gnunet", "gnunet"),
    (2101, "rtcm-sc104", "rtcm-sc104"),
    (2102, "", "zephyr-srv"),
    (2103, "", "zephyr-clt"),
    (2104, "", "zephyr-hm"),
    (2119, "gsigatekeeper", ""),
    (2121, "iprop", ""),
    (2135, "gris", ""),
    (2401, "cvspserver", ""),
    (2430, "venus", "venus"),
    (2431, "venus-se", "venus-se"),
    (2432, "codasrv", "codasrv"),
    (2433, "codasrv-se", "codasrv-se"),
    (2583, "mon", "mon"),
    (2600, "zebrasrv", ""),
    (2601, "zebra", ""),
    (2602, "ripd", ""),
    (2603, "ripngd", ""),
    (2604, "ospfd", ""),
    (2605, "bgpd", ""),
    (2606, "ospf6d", ""),
    (2607, "ospfapi", ""),
    (2608, "isisd", ""),
    (2628, "dict", ""),
    (2792, "f5-globalsite", ""),
    (2811, "gsiftp", ""),
    (2947, "gpsd", ""),
    (3050, "gds-db", ""),
    (3130, "", "icpv2"),
    (3205, "isns", "isns"),
    (3260, "iscsi-target", ""),
    (3306, "mysql", ""),
    (3389, "ms-wbt-server", ""),
    (3493, "nut", "nut"),
    (3632, "distcc", ""),
    (3689, "daap", ""),
    (3690, "svn", ""),
    (4031, "suucp", ""),
    (4094, "sysrqd", ""),
    (4190, "sieve", ""),
    (4353, "f5-iquery", ""),
    (4369, "epmd", ""),
    (4373, "remctl", ""),
    (4460, "ntske", ""),
    (4500, "", "ipsec-nat-t"),
    (4557, "fax", ""),
    (4559, "hylafax", ""),
    (4569, "", "iax"),
    (4691, "mtn", ""),
    (4899, "radmin-port", ""),
    (4949, "munin", ""),
    (5060, "sip", "sip"),
    (5061, "sip-tls", "sip-tls"),
    (5222, "xmpp-client", ""),
    (5269, "xmpp-server", ""),
    (5308, "cfengine", ""),
    (5353, "", "mdns"),
    (5432, "postgresql", ""),
    (5555, "", "rplay"),
    (5556, "freeciv", ""),
    (5666, "nrpe", ""),
    (5667, "nsca", ""),
    (5671, "amqps", ""),
    (5672, "amqp", ""),
    (5680, "canna", ""),
    (6000, "x11", ""),
    (6001, "x11-1", ""),
    (6002, "x11-2", ""),
    (6003, "x11-3", ""),
    (6004, "x11-4", ""),
    (6005, "x11-5", ""),
    (6006, "x11-6", ""),
    (6007, "x11-7", ""),
    (6346, "gnutella-svc", "gnutella-svc"),
    (6347, "gnutella-rtr", "gnutella-rtr"),
    (6379, "redis", ""),
    (6444, "sge-qmaster", ""),
    (6445, "sge-execd", ""),
    (6446, "mysql-proxy", ""),
    (6514, "syslog-tls", ""),
    (6566, "sane-port", ""),
    (6667, "ircd", ""),
    (6696, "", "babel"),
    (6697, "ircs-u", ""),
    (7000, "bbs", "afs3-fileserver"),
    (7001, "", "afs3-callback"),
    (7002, "", "afs3-prserver"),
    (7003, "", "afs3-vlserver"),
    (7004, "", "afs3-kaserver"),
    (7005, "", "afs3-volser"),
    (7007, "", "afs3-bos"),
    (7008, "", "afs3-update"),
    (7009, "", "afs3-rmtsys"),
    (7100, "font-service", ""),
    (8021, "zope-ftp", ""),
    (8080, "http-alt", ""),
    (8081, "tproxy", ""),
    (8088, "omniorb", ""),
    (8140, "puppet", ""),
    (8990, "clc-build-daemon", ""),
    (9098, "xinetd", ""),
    (9101, "bacula-dir", ""),
    (9102, "bacula-fd", ""),
    (9103, "bacula-sd", ""),
    (9418, "git", ""),
    (9667, "xmms2", ""),
    (9673, "zope", ""),
    (10000, "webmin", ""),
    (10050, "zabbix-agent", ""),
    (10051, "zabbix-trapper", ""),
    (10080, "amanda", ""),
    (10081, "kamanda", ""),
    (10082, "amandaidx", ""),
    (10083, "amidxtape", ""),
    (10809, "nbd", ""),
    (11112, "dicom", ""),
    (11371, "hkp", ""),
    (17001, "", "sgi-cmsd"),
    (17002, "", "sgi-crsd"),
    (17003, "", "sgi-gcd"),
    (17004, "sgi-cad", ""),
    (17500, "db-lsp", ""),
    (22125, "dcap", ""),
    (22128, "gsidcap", ""),
    (22273, "wnn6", ""),
    (24554, "binkp", ""),
    (27374, "asp", "asp"),
    (30865, "csync2", ""),
    (57000, "dircproxy", ""),
    (60177, "tfido", ""),
    (60179, "fido", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(SERVICES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn names_depend_on_the_protocol() {
        let text = |names: PortNames, port, proto| names.port(port, proto).to_string();
        assert_eq!(text(PortNames::Services, 53, L4Proto::Udp), "domain");
        assert_eq!(text(PortNames::Services, 514, L4Proto::Tcp), "shell");
        assert_eq!(text(PortNames::Services, 514, L4Proto::Udp), "syslog");
        assert_eq!(text(PortNames::Services, 69, L4Proto::Unknown), "tftp");
        assert_eq!(text(PortNames::Services, 40251, L4Proto::Tcp), "40251");
        assert_eq!(text(PortNames::Numbers, 53, L4Proto::Udp), "53");
    }
}
