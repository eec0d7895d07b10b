#!/bin/sh
# Records the sample capture: curl against nginx, in namespaces and cgroups of their own, so
# that nothing of the recording machine gets into the file. Run by `cargo xtask sample` inside
# new UTS and network namespaces, as root.
# usage: sample.sh CAPTURE RAW
set -eu
capture=$1 raw=$2
hostname sample
ip link set lo up

groups=
for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$dir/cgroup.procs" ] || continue
    mkdir -p "$dir/sample" || continue
    # a v1 cpuset takes no process before it has CPUs and memory nodes
    for f in cpuset.cpus cpuset.mems; do
        [ -e "$dir/sample/$f" ] && cat "$dir/$f" > "$dir/sample/$f" || true
    done
    groups="$groups $dir/sample"
done

"$capture" -E -s 512 -w "$raw" &
recorder=$!
# the file appears with the start snapshot; from then on everything is recorded
i=0
while [ ! -s "$raw" ] && [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done

(
    # shellcheck disable=SC3028
    me=$(exec sh -c 'echo $PPID')
    for g in $groups; do echo "$me" > "$g/cgroup.procs" || true; done
    cd /
    exec env -i PATH=/usr/sbin:/usr/bin:/bin unshare --pid --mount --fork --mount-proc sh -c '
        mount -t tmpfs tmpfs /srv
        mkdir -p /srv/www /srv/run
        echo "root:x:0:0:root:/:/bin/sh" > /srv/passwd
        mount --bind /srv/passwd /etc/passwd
        echo "Hello from the sample web server." > /srv/www/index.html
        printf "%s\n" "worker_processes 1; user root; pid /srv/run/nginx.pid; error_log /srv/run/error.log;" \
            "events { worker_connections 64; }" \
            "http { access_log /srv/run/access.log; client_body_temp_path /srv/run/b; proxy_temp_path /srv/run/p;" \
            "fastcgi_temp_path /srv/run/f; uwsgi_temp_path /srv/run/u; scgi_temp_path /srv/run/s;" \
            "server { listen 127.0.0.1:8080; root /srv/www; } }" > /srv/nginx.conf
        nginx -c /srv/nginx.conf
        curl -q -s http://127.0.0.1:8080/ > /srv/out
        curl -q -s http://127.0.0.1:8080/missing > /srv/out
        nginx -s stop -c /srv/nginx.conf
        sleep 0.2
    '
)
sleep 1.5
kill -INT $recorder
wait $recorder
for g in $groups; do rmdir "$g" || true; done
