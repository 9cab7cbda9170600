#!/bin/sh
# @WHAT@
# Laid into the image by diskwright (oem-resize); diskwright-grow.service starts it.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount=@MOUNT@

say() { echo "diskwright: $*"; }
fail() {
    say "$mount does not grow: $1"
    exit 1
}
size() { echo $(($(stat -f -c '%b * %S' "$mount") / 1048576)); }

before=$(size)
@PARTITION@
@FILESYSTEM@ >&2 || fail 'its file system did not, in its longer partition'
after=$(size)
if [ "$after" -gt "$before" ]; then say "$mount grew from $before to $after MiB"; fi
@ONCE@
