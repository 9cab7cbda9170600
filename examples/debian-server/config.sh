#!/bin/bash
# Runs in the tree when its packages are there.
set -e
. /.kconfig
baseInsertService systemd-networkd
baseInsertService systemd-resolved
baseInsertService ssh
