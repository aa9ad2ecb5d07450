#!/bin/sh
# runc on a machine whose cgroup v2 lacks the controllers for cpu, memory and pids: asks for no limits. Containers run as
# usual, but nothing holds them to their limits. It is called some seven times for each container, so Python is started
# only for those calls that read a bundle: for all of them it took a fifth of the machine.
for word; do
    case $word in
        update) exit 0 ;;
        create | run)
            /usr/bin/python3 -IS /usr/local/lib/testbed-drop-limits.py "$@" || exit
            break
            ;;
    esac
done
exec /usr/sbin/runc "$@"
