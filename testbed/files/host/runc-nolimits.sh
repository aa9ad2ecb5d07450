#!/bin/sh
# runc on a machine whose cgroup v2 lacks the controllers for cpu, memory and pids: asks for no limits. Containers run as
# usual, but nothing holds them to their limits. It is called some seven times for each container, so Perl is started
# only for those calls that read a bundle.
for word; do
    case $word in
        update) exit 0 ;;
        create | run)
            /usr/bin/perl /usr/local/lib/testbed-drop-limits.pl "$@" || exit
            break
            ;;
    esac
done
exec /usr/sbin/runc "$@"
