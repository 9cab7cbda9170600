#!/usr/bin/env bash
# The peer of the whole-disk benchmark: a tree becomes a qcow2 disk (GPT, ESP, ext4) by the usual tools, each at its
# defaults, ending with the data on disk. Silent unless something fails.
# usage: ROOT_MIB=N [ESP_MIB=N] [ESPDIR=DIR] [ROOT_UUID=UUID] shell-disk.sh TREE_OR_TAR OUT.qcow2 WORKDIR
# A directory is taken as it is, with its present owners. A tar is unpacked under fakeroot, which keeps the owners.
set -euo pipefail
[ $# = 3 ] || { sed -n '4p' "$0" >&2; exit 2; }
tree=$(realpath "$1") out=$(realpath -m "$2") work=$(realpath -m "$3")
root_mib=${ROOT_MIB:?"size of the root file system in MiB"} esp_mib=${ESP_MIB:-128} espdir=${ESPDIR:-}
root_uuid=${ROOT_UUID:-3b6f0a52-7f0e-4c58-9d3a-5a1d8d2c9e01}
PATH=$PATH:/usr/sbin:/sbin

# Sectors of 512 bytes; both partitions at a MiB, one MiB left at the end for the second copy of the table.
esp_start=2048 esp_sectors=$((esp_mib * 2048)) root_sectors=$((root_mib * 2048))
root_start=$((esp_start + esp_sectors))
raw=$work/disk.raw esp=$work/esp.img
mkdir -p "$work"
rm -f "$raw" "$esp" "$out"
truncate -s $(((root_start + root_sectors + 2048) * 512)) "$raw"

root_fs=(mke2fs -q -t ext4 -b 4096 -L root -U "$root_uuid" -E "offset=$((root_start * 512))" -d)
if [ -d "$tree" ]; then
  "${root_fs[@]}" "$tree" "$raw" "${root_mib}M"
else
  rm -rf "$work/root"
  mkdir "$work/root"
  # shellcheck disable=SC2016 # expanded by the inner shell
  fakeroot bash -euc 'tar -C "$2" --numeric-owner -xpf "$1"; shift 2; "$@"' - "$tree" "$work/root" \
    "${root_fs[@]}" "$work/root" "$raw" "${root_mib}M"
fi

truncate -s "${esp_mib}M" "$esp"
mkfs.vfat -F 32 -n ESP "$esp" >/dev/null
[ -z "$espdir" ] || mcopy -s -i "$esp" "$espdir"/* ::/
dd if="$esp" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none

# After mke2fs, which knows nothing of partitions.
sgdisk -n "1:$esp_start:+$esp_sectors" -t 1:EF00 -c 1:esp -n "2:$root_start:+$root_sectors" -t 2:8304 -c 2:root "$raw" >/dev/null

qemu-img convert -f raw -O qcow2 "$raw" "$out"
sync -d "$out"
