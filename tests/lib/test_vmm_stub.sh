#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example does what it says, in both ways of running; and says in one sentence why it cannot.
set -eu
out=$("$@" ipv4=100.96.0.6 slot=1 mtu=1400 net=host)
echo "$out"
echo "$out" | grep -qx 'MSB_NET=iface=eth0,mac=02:6d:73:00:01:02,mtu=1400'
echo "$out" | grep -qx 'MSB_NET_IPV4=addr=100.96.0.6/30,gw=100.96.0.5,dns=100.96.0.5'
echo "$out" | grep -qx 'the gateway has the MAC address 02:6d:73:00:01:01'
echo "$out" | grep -qx 'the gateway has answered a ping'
if "$@" mtu=1 2>err.$$; then
	exit 1
fi
err=$(cat err.$$)
rm -f err.$$
[ "$err" = 'vmm_stub: option mtu 1 is not possible; use a number from 1280 to 65520' ]
