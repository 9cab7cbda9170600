#!/usr/bin/env bash
# A root tree of Debian packages in a directory: diskwright against mmdebstrap, in turn, each twice; run as an ordinary user in an
# empty folder, after one `diskwright prepare` of the example has filled the cache.
# usage: prepare.sh DISKWRIGHT EXAMPLES/debian-server MIRROR
set -euo pipefail
diskwright=$1 example=$2 mirror=$3
packages=$(sed -n '/<packages type="image">/,/<\/packages>/s/.*name="\([^"]*\)".*/\1/p' "$example/config.xml" | paste -sd,)
for round in 1 2; do
  sync
  time "$diskwright" prepare "$example" --root "ours-$round" --fresh --quiet
  sync
  time mmdebstrap --quiet --mode=unshare --variant=apt --architectures=amd64 --include="$packages" bookworm "theirs-$round" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main"
done
