#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Called by udhcpc with what happened; the lease is in the environment. IPv6 addresses stay as they are.
case "$1" in
deconfig)
    ip -4 addr flush dev "$interface"
    ;;
bound | renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    # Other networks may want to read the report, too.
    for gateway in $router; do
        ip route replace default via "$gateway" dev "$interface"
        break
    done
    ;;
esac
