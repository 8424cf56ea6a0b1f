#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the virtual machine does: it gets its addresses, resolves, and moves bytes, over a card that loses none and then over
# one that does. Each result is a line `RESULT name value` on the console; the test judges. Settings come
# by the kernel's command line as SLUICE_...
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for setting in $(cat /proc/cmdline); do
	case $setting in SLUICE_*) eval "$setting" ;; esac
done
result() {
	echo "RESULT $*"
}

. /modules/load
ip link set lo up
ip link set eth0 up

# ---- addresses ----

until ip -6 addr show dev eth0 scope global | grep -q 'inet6.* dynamic'; do
	usleep 100000
done
udhcpc -i eth0 -q -n -f -t 20 -T 1 -s /etc/udhcpc >/dev/null 2>&1
result ipv4 "$(ip -4 -o addr show dev eth0 | awk '{ print $4 }')"
result ipv6 "$(ip -6 -o addr show dev eth0 scope global | awk '{ print $4 }')"
result gateway4 "$(ip -4 route show default | awk '{ print $3 }')"
result gateway6 "$(ip -6 route show default | awk '{ print $3 }')"
result mtu "$(cat /sys/class/net/eth0/mtu)"
result mtu6 "$(cat /proc/sys/net/ipv6/conf/eth0/mtu)"
result resolver "$(awk '{ print $2 }' /etc/resolv.conf)"

# ---- names, echo ----

nslookup -type=a "$SLUICE_NAME" >/tmp/name 2>&1
result name4 "$(awk '/^Address/ { last = $2 } END { print last }' /tmp/name)"
nslookup -type=aaaa "$SLUICE_NAME" >/tmp/name 2>&1
result name6 "$(awk '/^Address/ { last = $2 } END { print last }' /tmp/name)"
for server in "$SLUICE_V4" "$SLUICE_V6"; do
	ping -c 2 -W 20 "$server" >/tmp/ping 2>&1
	result "ping_$server" $?
done

# ---- bytes ----

exchange() { # exchange NAME PORT: what the server sends, to it again, and what it says of that
	for server in "$SLUICE_V4" "$SLUICE_V6"; do
		nc "$server" "$SLUICE_DOWN" </dev/null >/tmp/data
		result "$1_down_$server" "$(sha1sum </tmp/data | cut -c 1-40)"
		result "$1_up_$server" "$(nc "$server" "$SLUICE_UP" </tmp/data)"
	done
}

netem() { # netem ARGUMENT...: both ways
	/programs/tc qdisc replace dev eth0 root netem limit 2000 "$@" && /programs/tc qdisc replace dev ifb0 root netem limit 2000 "$@"
}

exchange plain
ip link set ifb0 up
/programs/tc qdisc add dev eth0 ingress &&
	/programs/tc filter add dev eth0 parent ffff: matchall action mirred egress redirect dev ifb0
result netem_set $?
netem loss 1% && exchange loss1
netem loss 5% && exchange loss5
netem delay 4ms 2ms reorder 25% 50% && exchange reorder
result lost "$(/programs/tc -s qdisc show | awk '/netem/ { getline; print $7 }' | tr -d ',' | tr '\n' ' ')"
result done 0
poweroff -f
