# Boots one host and boots it again when it reboots itself; ends when the host is off.
# Environment: CGROUP (of this host, below the root), DISK, UPPER, WORK, ROOT, NETNS, MACHINE, HOST, BINDS (nspawn
# options), GOGC (of all Go programs there). Runs in a mount namespace of its own, so all its mounts end with it.
set -eu
mount -t overlay overlay -o "lowerdir=$DISK,upperdir=$UPPER,workdir=$WORK" "$ROOT"
# the hosts see plain cgroup v2, whatever mixture of versions this machine has; where it is plain already, another mount
# would change the options of the machine's own
[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network  # own network settings, nothing else of the kernel
while :; do
  code=0
  # BINDS is a list of options; the three system calls are runc's and systemd's
  sh -c 'echo $$ >"/sys/fs/cgroup/$CGROUP/cgroup.procs" && exec "$@"' sh \
    systemd-nspawn --quiet --boot --register=no --keep-unit --console=read-only --machine="$MACHINE" --hostname="$HOST" \
    --directory="$ROOT" --network-namespace-path="$NETNS" --capability=CAP_NET_ADMIN --resolv-conf=off --timezone=off \
    --link-journal=no --system-call-filter="bpf keyctl add_key" $BINDS systemd.firstboot=off systemd.setenv=GOGC="$GOGC" || code=$?
  [ "$code" = 133 ] || exit 0  # 133: it rebooted
done
