#!/bin/sh
# Stops what the *-up.sh scripts started and removes their files: down.sh [docker|podman|containerd]...
# Without arguments: all of them. Safe to run at any time, any number of times.
# shellcheck disable=SC1091,SC2086
. "$(dirname "$0")/lib.sh"
[ $# -gt 0 ] || set -- docker podman containerd

# What outlives a daemon that was killed: shims and monitors (each has a path of ours in its
# arguments) and containers (each has its id, the name of a folder of ours, in its cgroup path).
reap() { # ENGINE
    for p in /proc/[0-9]*; do
        { tr '\0' ' ' < "$p/cmdline"; } 2>/dev/null |
            grep -qE "^[^ ]*(dockerd|containerd|containerd-shim|conmon|docker-proxy)[^ /]* .*($DATA|$RUN)/$1/" || continue
        kill -9 "${p#/proc/}" 2>/dev/null || true
    done
    ids=$(find "$DATA/$1" "$RUN/$1" -maxdepth 6 -type d 2>/dev/null | grep -oE '[0-9a-f]{64}$' | sort -u)
    [ -z "$ids" ] || grep -lF "$ids" /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3 | xargs -r kill -9 2>/dev/null || true
    ip netns pids "$ENGINES_NAME-$1" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
}

for e; do
    case $e in
        docker)
            if running docker; then
                export DOCKER_HOST=unix://${DOCKER_SOCK:-$RUN/docker.sock}
                ids=$(timeout 30 docker ps -qa 2>/dev/null || true)
                [ -z "$ids" ] || timeout 60 docker rm -f $ids >/dev/null 2>&1 || true
            fi
            stop docker
            rm -f "$RUN/docker.sock" "$RUN/docker.pid"
            cg="docker" ;;
        podman)
            if [ -x "$DATA/podman/podman" ]; then
                timeout 60 "$DATA/podman/podman" pod rm -f -t 0 -a >/dev/null 2>&1 || true
                timeout 60 "$DATA/podman/podman" rm -f -t 0 -a >/dev/null 2>&1 || true
            fi
            stop podman
            rm -f "$RUN/podman.sock"
            cg="libpod_parent" ;;
        containerd)
            if running containerd; then
                cri() { timeout 60 /usr/bin/python3 "$HERE/cri.py" "${CONTAINERD_SOCK:-$RUN/containerd.sock}" "$@" 2>/dev/null; }
                for sb in $(cri ListPodSandbox | jq -r '.items[].id'); do
                    cri StopPodSandbox "{\"pod_sandbox_id\":\"$sb\"}" >/dev/null || true
                    cri RemovePodSandbox "{\"pod_sandbox_id\":\"$sb\"}" >/dev/null || true
                done
            fi
            stop containerd
            rm -f "$RUN/containerd.sock" "$RUN/containerd.sock.ttrpc"
            cg="kubepods kubepods.slice k8s.io default" ;;
        *) die "no such engine: $e" ;;
    esac
    reap "$e"
    unmount_below "$RUN/$e"; unmount_below "$DATA/$e"
    netns_down "$e"
    rm -rf "${DATA:?}/$e" "${RUN:?}/$e"
    rm_cgroups $cg
done
rmdir "$DATA" "$RUN" 2>/dev/null || true
