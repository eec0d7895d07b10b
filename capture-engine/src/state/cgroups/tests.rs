//! The rules against every documented shape of a path, and against lines that real engines wrote.

use super::*;

const ID: &str = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de487c3601e";
const OTHER_ID: &str = "e957d7397d23be999604da948f9a4cf9712fd60aab36acb4ff9dc53f8e397205";
const SAMPLES: &str = include_str!("samples.txt");

/// A path, with ID for the container's id and OTHER for another one, and what it must tell.
#[rustfmt::skip]
const SHAPES: &[(&str, Option<(ContainerKind, &str)>)] = &[
    // Seen with the engines themselves.
    ("/docker/ID", Some((ContainerKind::Docker, ID))),
    ("/custom/parent/ID", Some((ContainerKind::Docker, ID))),
    ("/system.slice/docker-ID.scope", Some((ContainerKind::Docker, ID))),
    ("/libpod_parent/libpod-ID", Some((ContainerKind::Podman, ID))),
    ("/libpod_parent/OTHER/libpod-ID", Some((ContainerKind::Podman, ID))),
    ("/libpod_parent/conmon", None),
    ("/libpod_parent/OTHER", None),
    ("/machine.slice/libpod-ID.scope", Some((ContainerKind::Podman, ID))),
    ("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope", Some((ContainerKind::Podman, ID))),
    ("/machine.slice/machine-libpod_pod_OTHER.slice", None),
    ("/kubepods/burstable/pod5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17/ID", Some((ContainerKind::Cri, ID))),
    ("/kubepods/besteffort/pod5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17/ID", Some((ContainerKind::Cri, ID))),
    ("/kubepods/pod5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17/ID", Some((ContainerKind::Cri, ID))),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5f1c_7b3d.slice/cri-containerd-ID.scope", Some((ContainerKind::Cri, ID))),
    ("/kubepods-burstable-pod5f1c_7b3d.slice:cri-containerd:ID", Some((ContainerKind::Cri, ID))),
    ("/agent/fa76856f92fe445d24822595b59e9cf3/kubepods-burstable-pod5f1c_7b3d.slice:cri-containerd:ID", Some((ContainerKind::Cri, ID))),
    ("/default/plain-1", Some((ContainerKind::Containerd, "plain-1"))),
    ("/default/ID", Some((ContainerKind::Containerd, ID))),
    // As public documentation gives them.
    ("/kubepods.slice/kubepods-pod5f1c_7b3d.slice/cri-containerd-ID.scope", Some((ContainerKind::Cri, ID))),
    ("/kubepods/besteffort/pod5f1c/crio-ID", Some((ContainerKind::Crio, ID))),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5f1c.slice/crio-ID.scope", Some((ContainerKind::Crio, ID))),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5f1c.slice/crio-ID.scope/container", Some((ContainerKind::Crio, ID))),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5f1c.slice/crio-conmon-ID.scope", None),
    ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod5f1c.slice/docker-ID.scope", Some((ContainerKind::Docker, ID))),
    ("/machine.slice/libpod-ID.scope/container", Some((ContainerKind::Podman, ID))),
    ("/machine.slice/libpod-conmon-ID.scope", None),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", Some((ContainerKind::Podman, ID))),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/podman-77.scope/ID", Some((ContainerKind::Podman, ID))),
    ("/system.slice/containerd.service/kubepods-burstable-pod5f1c.slice:cri-containerd:ID", Some((ContainerKind::Cri, ID))),
    ("/system.slice/k3s.service/kubepods/burstable/pod5f1c/ID", Some((ContainerKind::Cri, ID))),
    ("/system.slice/nerdctl-ID.scope", Some((ContainerKind::Containerd, ID))),
    ("/ecs/f8a1c2/ID", Some((ContainerKind::Docker, ID))),
    ("/lxc/web", Some((ContainerKind::Lxc, "web"))),
    ("/lxc/web/init.scope", Some((ContainerKind::Lxc, "web"))),
    ("/lxc.payload.web", Some((ContainerKind::Lxc, "web"))),
    ("/lxc.payload/web/system.slice/cron.service", Some((ContainerKind::Lxc, "web"))),
    ("/machine.slice/machine-guest.scope", Some((ContainerKind::Custom, "guest"))),
    ("/machine.slice/machine-guest.scope/payload/system.slice", Some((ContainerKind::Custom, "guest"))),
    ("/machine.slice/systemd-nspawn@guest.service/payload", Some((ContainerKind::Custom, "guest"))),
    ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None),
    ("/machine/guest.libvirt-lxc", Some((ContainerKind::LibvirtLxc, "guest"))),
    ("/machine.slice/machine-lxc\\x2d7\\x2dguest.scope/", Some((ContainerKind::LibvirtLxc, "7\\x2dguest"))),
    ("/libvirt/lxc/guest", Some((ContainerKind::LibvirtLxc, "guest"))),
    ("/system.slice/bpm-nats.scope", Some((ContainerKind::Bpm, "nats"))),
    // One in another, and an init system inside.
    ("/docker/OTHER/docker/ID", Some((ContainerKind::Docker, ID))),
    ("/docker/OTHER/kubelet/kubepods/burstable/pod5f1c/ID", Some((ContainerKind::Cri, ID))),
    ("/docker/ID/init.scope", Some((ContainerKind::Docker, ID))),
    ("/docker/ID/system.slice/nginx.service", Some((ContainerKind::Docker, ID))),
    // Near, but no containers.
    ("/", None),
    ("/user.slice/user-1000.slice", None),
    ("/agent/fa76856f92fe445d24822595b59e9cf3", None),
    ("/kubepods/burstable/pod5f1c2a9e-7b3d-4c88-9a51-0d6e2f8b4c17", None),
    ("/docker", None),
    ("/docker/short", None),
    ("/docker/IDx", None),
    ("/docker/ID0", None),
    ("/init.scope", None),
    ("/default", None),
    ("/lxc", None),
];

#[test]
fn every_shape_tells_its_container() {
    for (shape, expected) in SHAPES {
        let path = shape.replace("OTHER", OTHER_ID).replace("ID", ID);
        let raw = format!("cpuset=/\0cpu_cgroup={path}\0");
        let found = locate(raw.as_bytes()).map(|f| (f.kind, std::str::from_utf8(f.full_id).unwrap()));
        assert_eq!(found, *expected, "{path}");
        let short = expected.map(|(kind, id)| (kind, if id == ID { &id[..12] } else { id }));
        let found = locate(raw.as_bytes()).map(|f| (f.kind, std::str::from_utf8(f.id).unwrap()));
        assert_eq!(found, short, "{path}");
    }
}

/// Lines of /proc/PID/cgroup as the snapshot stores them.
fn stored(lines: &[&str]) -> Vec<u8> {
    let mut raw = Vec::new();
    for line in lines {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next().unwrap(), parts.next().unwrap());
        for name in names.split(',') {
            raw.extend_from_slice(format!("{name}={path}\0").as_bytes());
        }
    }
    raw
}

#[test]
fn the_lines_of_real_engines_tell_their_containers() {
    let mut seen = 0;
    for process in SAMPLES.split("\n= ").skip(1) {
        let (head, lines) = process.split_once('\n').unwrap();
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap();
        let (name, kind, id) = (word(), word(), word());
        let lines: Vec<&str> = lines.lines().filter(|l| !l.is_empty()).collect();
        let raw = stored(&lines);
        let found = locate(&raw).map(|f| (f.kind.name(), std::str::from_utf8(f.full_id).unwrap()));
        assert_eq!(found, (kind != "-").then_some((kind, id)), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 33);
}

#[test]
fn subsystems_are_normalised() {
    let all: Vec<_> = entries(b"mem_cgroup=/a\0io=/b\0cpu=/c\0broken\0").collect();
    assert_eq!(all, [(&b"memory"[..], &b"/a"[..]), (b"blkio", b"/b"), (b"cpu", b"/c")]);
}
