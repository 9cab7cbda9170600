#!/usr/bin/env bash
# A root tree of Debian packages in a directory: diskwright, whose packages are in its cache, against mmdebstrap, whose mirror should
# be near, in turn; run as an ordinary user in an empty folder. Prints wall seconds, processor seconds (of all processes
# together) and the load of each run, the ratios of the medians, where diskwright's last run spent its time, and a
# second build of what did not change.
# usage: prepare.sh DISKWRIGHT EXAMPLES/debian-server MIRROR [ROUNDS]
set -euo pipefail
diskwright=$1 example=$2 mirror=$3 rounds=${4:-3}
packages=$(sed -n '/<packages type="image">/,/<\/packages>/s/.*name="\([^"]*\)".*/\1/p' "$example/config.xml" | paste -sd,)
# What the example leaves out (rpm-excludedocs), mmdebstrap leaves out, too.
filters=(--dpkgopt=path-include='/usr/share/doc/*/copyright')
for name in lintian groff info man doc; do filters=(--dpkgopt=path-exclude="/usr/share/$name/*" "${filters[@]}"); done

ours() {
  "$diskwright" prepare "$example" --root "$1" --cache-dir cache --quiet >ours.out
}
theirs() {
  mmdebstrap --quiet --mode=unshare --variant=apt --architectures=amd64 --include="$packages" "${filters[@]}" \
    bookworm "$1" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main"
}
# Of a process namespace whose first process is killed, only who adopts its orphans hears how long they worked.
measure() {
  export -f ours theirs
  python3 - "$@" <<'PY'
import ctypes, os, resource, subprocess, sys, time
name, times, words = sys.argv[1], sys.argv[2], sys.argv[3:]
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
begun = time.monotonic()
code = subprocess.call(words)
wall = time.monotonic() - begun
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
used = resource.getrusage(resource.RUSAGE_CHILDREN)
work = used.ru_utime + used.ru_stime
print(f"{name:10} {wall:6.2f} s, processors {work:6.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
open(times, "a").write(f"{wall:.2f} {work:.2f}\n")
sys.exit(code)
PY
}
# Exported functions know exported variables alone.
export diskwright example mirror packages
declare -p filters >filters.sh
run() { measure "$1" "$1.times" bash -euc ". ./filters.sh; $*"; }
# mmdebstrap's files belong to others.
clear() { unshare --map-root-user --map-auto rm -rf cache/trees cache/work tree-*; }

clear
ours tree-first
rm -f ours.times theirs.times
for round in $(seq "$rounds"); do
  for who in ours theirs; do
    clear
    sync
    run "$who" tree-measured
    if [ "$who" = ours ]; then cp cache/trees/*/log .; fi
  done
done

median() { cut -d' ' -f"$2" "$1.times" | sort -n | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'; }
for column in 1 2; do
  median ours $column | paste - <(median theirs $column) <(if [ $column = 1 ]; then echo wall; else echo processors; fi) |
    awk '{ printf "%s: diskwright %.2f s, mmdebstrap %.2f s, %.2f times\n", $3, $1, $2, $2 / $1 }'
done

echo "where diskwright's last run spent its time, in seconds; what is missing is copies of kept trees and reading repositories:"
awk '
  /^\+ / { what = "other steps" }
  /^\+ unpack /            { what = "unpack" }
  /^\+ .* dpkg .*--unpack/ { what = "unpack by dpkg" }
  /^\+ .*preinst/          { what = "preinst scripts" }
  /^\+ .* dpkg .*--configure/ { what = "configure" }
  /^\+ .* apt-get /        { what = "apt" }
  /^\+ .*initrd/           { what = "initrd" }
  /^\+ (write root.tree|take owners)/ { what = "records and owners" }
  /^\+ scrub/              { what = "scrub" }
  /^= / { spent[what] += $2; all += $2 }
  END { for (what in spent) printf "%6.2f %s\n", spent[what], what; printf "%6.2f together\n", all }
' log | sort -rn

clear
"$diskwright" build "$example" -o out-1 --cache-dir cache --quiet >build.out
measure "again" again.times "$diskwright" build "$example" -o out-2 --cache-dir cache --quiet >again.out
cat again.out
