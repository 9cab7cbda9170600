most=@MOST@ # MiB that it becomes at most; 0: all of the disk
addressed=@ADDRESSED@ # MiB of a disk that its table reaches
extended=@EXTENDED@ # number of the extended partition around it; 0: none
least=10 # MiB; less is not worth it

# Of a directory in sysfs: what is in a file of it, its device, the MiB in a number of sectors of 512 bytes.
of() { read -r value <"$1/$2" && echo "$value"; }
device_of() { sed -n 's|^DEVNAME=|/dev/|p' "$1/uevent"; }
mib_of() { echo $(($(of "$1" "$2") / 2048)); }
# An explicit size: for "all there is", sfdisk counts a disk that is too long for an MBR from its beginning again.
lengthen() { echo ", $2MiB" | sfdisk -q --force --no-reread --no-tell-kernel -N "$1" "$disk_device" >&2 || fail 'sfdisk failed'; }

number=
while read -r _ _ device _ point _; do
    if [ "$point" = "$mount" ]; then number=$device; fi
done </proc/self/mountinfo
part=$(readlink -f "/sys/dev/block/$number")
if [ -z "$number" ] || [ ! -e "$part/partition" ]; then
    say "$mount does not grow: it is on no partition of a disk"
    exit 0
fi
disk=${part%/*}
disk_device=$(device_of "$disk")
device=$(device_of "$part")
start=$(of "$part" start)
for other in "$disk"/*/partition; do
    other=${other%/partition}
    if [ "$(of "$other" start)" -gt "$start" ]; then
        say "$mount does not grow: ${other##*/} lies behind ${part##*/}"
        exit 0
    fi
done

# The last MiB is for the copy of a GPT.
end=$(mib_of "$disk" size)
if [ "$end" -gt "$addressed" ]; then end=$addressed; fi
end=$((end - 1))
old=$(mib_of "$part" size)
new=$((end - start / 2048))
if [ "$most" -gt 0 ] && [ "$new" -gt "$most" ]; then new=$most; fi
if [ $((new - old)) -ge $least ]; then
    if [ $extended -gt 0 ]; then
        for other in "$disk"/*/partition; do
            if [ "$(of "${other%/partition}" partition)" = $extended ]; then
                lengthen $extended $((end - $(mib_of "${other%/partition}" start)))
            fi
        done
    fi
    lengthen "$(of "$part" partition)" $new
    partx -u -n "$(of "$part" partition)" "$disk_device" >&2 || fail 'partx failed'
    if [ "$(mib_of "$part" size)" -le "$old" ]; then fail "$device is as long as before"; fi
fi
