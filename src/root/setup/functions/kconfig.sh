# shellcheck shell=dash disable=SC3043 # `local` is in every shell that scripts of images run in
#
# The functions that scripts of KIWI descriptions call: `test -f /.kconfig && . /.kconfig`. Names, arguments and what they
# leave in the tree are KIWI's; where KIWI's do what nobody can want, the comment says what these do. bash and dash read this.

export LANG=C
export LC_ALL=C

# Echo [-b] [-n] [-e] TEXT: a line of progress; -b indents it, -n ends it without a newline, -e reads backslashes.
Echo() {
    local prefix='----->' end='\n' format='%s' option
    OPTIND=1
    while getopts bne option; do
        case $option in
        b) prefix='      ' ;;
        n) end='' ;;
        e) format='%b' ;;
        *) ;;
        esac
    done
    shift $((OPTIND - 1))
    OPTIND=1
    # shellcheck disable=SC2059 # the format is one of ours
    printf "%s $format$end" "$prefix" "${1-}"
}

# Debug TEXT...: said when DEBUG is 1, with who called, where the shell knows it.
Debug() {
    if [ "${DEBUG:-0}" = 1 ]; then
        local caller=
        [ -z "${BASH_VERSION-}" ] || eval 'caller="${FUNCNAME[1]-}:${FUNCNAME[2]-}"'
        echo "+++++> (caller:$caller )  $*"
    fi
}

# Rm ARGUMENT...: rm, announced to Debug.
Rm() {
    Debug "rm $*"
    rm "$@"
}

# A sandbox has its /proc before a script begins, and cgroups leave nothing in an image.
mountProc() { :; }
mountCgroups() { :; }
umountCgroups() { :; }

# podman and buildah without cgroup manager, pivot_root and overlay, as they work inside a build.
setupContainerRuntime() {
    mkdir -p /etc/containers
    printf '%s\n' '[engine]' 'no_pivot_root = true' 'events_logger = "none"' 'cgroup_manager = "cgroupfs"' \
        >/etc/containers/containers.conf
    printf '%s\n' '[storage]' 'driver = "vfs"' 'graphroot = "/var/lib/containers/storage"' \
        'runroot = "/var/run/containers/storage"' >/etc/containers/storage.conf
}

# ---- services

# baseSystemdServiceInstalled NAME: prints the unit file of NAME.service or NAME.mount, nothing when there is none.
baseSystemdServiceInstalled() {
    local directory kind
    for directory in /usr/lib/systemd/system /etc/systemd/system /run/systemd/system /lib/systemd/system; do
        for kind in service mount; do
            if [ -f "$directory/$1.$kind" ]; then
                echo "$directory/$1.$kind"
                return 0
            fi
        done
    done
}

# baseSysVServiceInstalled NAME: prints NAME when /etc/init.d has it.
baseSysVServiceInstalled() {
    if [ -x "/etc/init.d/$1" ]; then
        echo "$1"
    fi
}

# baseSystemdCall NAME WORD...: systemctl WORD... NAME, when the service is there. An alias (Debian's sshd) is called by the
# name of its unit, since systemctl refuses to enable aliases.
baseSystemdCall() {
    local name=$1 unit target
    shift
    unit=$(baseSystemdServiceInstalled "$name")
    if [ -n "$unit" ]; then
        if [ -L "$unit" ]; then
            target=$(readlink "$unit")
            target=${target##*/}
            case $target in
            *.service | *.mount) [ "$target" = "${unit##*/}" ] || name=$target ;;
            esac
        fi
        systemctl "$@" "$name"
    elif [ -n "$(baseSysVServiceInstalled "$name")" ]; then
        systemctl "$@" "$name"
    else
        echo "warning: no service $name in this tree: not done: systemctl $*" >&2
    fi
}

# baseInsertService NAME: the service starts at boot.
baseInsertService() {
    baseSystemdCall "$1" enable
}

# baseRemoveService NAME: it does not.
baseRemoveService() {
    baseSystemdCall "$1" disable
}

# baseService NAME on|off
baseService() {
    if [ -z "${2-}" ]; then
        echo "baseService: no target specified"
    elif [ -z "${1-}" ]; then
        echo "baseService: no service name specified"
    elif [ "$2" = off ]; then
        baseRemoveService "$1"
    else
        baseInsertService "$1"
    fi
}

suseInsertService() { baseInsertService "$@"; }
suseRemoveService() { baseRemoveService "$@"; }
suseService() { baseService "$@"; }

# baseSetRunlevel N|TARGET: what the system boots into: 1 2 3 are multi-user.target, 5 is graphical.target.
baseSetRunlevel() {
    local units=/usr/lib/systemd/system target=$1
    case $target in
    1 | 2 | 3) target=multi-user.target ;;
    5) target=graphical.target ;;
    *)
        if [ ! -e "$units/$target" ]; then
            echo "Can't find systemd target: $target"
            return 0
        fi
        ;;
    esac
    ln -sf "$units/$target" /etc/systemd/system/default.target
}

# ---- settings

# The argument as a basic regular expression that matches it, for s@@@.
_literal() {
    printf '%s' "$1" | sed 's/[][\\.*^$@]/\\&/g'
}

# baseUpdateSysConfig FILE NAME VALUE: lines NAME=... of FILE become NAME="VALUE"; none is added. Name and value mean
# themselves: & and @ in a value are nothing special.
baseUpdateSysConfig() {
    local name value
    if [ ! -f "$1" ]; then
        echo "warning: config file $1 not found"
        return 0
    fi
    name=$(_literal "$2")
    value=$(printf '%s' "${3-}" | sed 's/[\\&@]/\\&/g')
    sed -i "s@^\\($name=\\).*\$@\\1\"$value\"@" "$1"
}

# baseSetupBuildDay: /build_day says the day of the build: that of SOURCE_DATE_EPOCH, when there is one.
baseSetupBuildDay() {
    if [ -n "${SOURCE_DATE_EPOCH-}" ]; then
        echo "build_day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d)" >/build_day
    else
        echo "build_day=$(date -u +%Y%m%d)" >/build_day
    fi
}

# baseQuoteFile FILE: a file of NAME=VALUE lines becomes one that a shell can source: comments and empty lines go, every
# value is put in single quotes. Quotes around a value and backslashes before any character are taken as the shell's.
baseQuoteFile() {
    sed -E \
        -e '/^$/d' -e '/^[ \t]*#/d' \
        -e "s/^([A-Za-z0-9_]+)=[\"'](.*)[\"']/\\1=\\2/" \
        -e 's/\\(.)/\1/g' \
        -e "s/'+/'\\\\''/g" \
        -e "s/^([A-Za-z0-9_]+)=(.*)/\\1='\\2'/" "$1" >"$1.quoted"
    mv "$1.quoted" "$1"
}

# suseSetupProduct: /etc/products.d/baseproduct leads to the product that /etc/SuSE-brand or the NAME of /etc/os-release names,
# else to the last one there is.
suseSetupProduct() {
    local product=undef last='' file
    if [ -f /etc/SuSE-brand ]; then
        product=$(head -n 1 /etc/SuSE-brand)
    elif [ -f /etc/os-release ]; then
        product=$(sed -n 's/^NAME=//p' /etc/os-release | tr -d '"')
    fi
    [ -d /etc/products.d ] || return 0
    for file in "$product.prod" "SUSE_$product.prod"; do
        if [ -f "/etc/products.d/$file" ]; then
            ln -sf "$file" /etc/products.d/baseproduct
            return 0
        fi
    done
    for file in /etc/products.d/*.prod; do
        [ ! -f "$file" ] || last=${file##*/}
    done
    [ -z "$last" ] || ln -sf "$last" /etc/products.d/baseproduct
}

# suseImportBuildKey: the distribution's keys, which its packages leave in a directory, into rpm's database.
suseImportBuildKey() {
    local keys=/usr/lib/rpm/gnupg/keys made='' key name
    if [ ! -d "$keys" ]; then
        made=$(mktemp -d) || return 0
        keys=$made
        if [ -x /usr/lib/rpm/gnupg/dumpsigs ]; then
            (cd "$keys" && /usr/lib/rpm/gnupg/dumpsigs /usr/lib/rpm/gnupg/suse-build-key.gpg)
        fi
    fi
    for key in "$keys"/gpg-pubkey-*.asc; do
        [ -e "$key" ] || continue
        name=${key##*/}
        name=${name%.asc}
        if ! rpm -q "$name" >/dev/null; then
            echo "Importing $name to rpm database"
            rpm --import "$key"
        fi
    done
    [ -z "$made" ] || rm -rf "$made"
}

# baseVagrantSetup: what a Vagrant box must have: the publicly known key, sshd without delays, sudo without password, /vagrant.
baseVagrantSetup() {
    local home=/home/vagrant settings=/etc/ssh/sshd_config.d/00-vagrant.conf
    local grant='vagrant ALL=(ALL) NOPASSWD: ALL'
    local sudoers=/etc/sudoers.d/vagrant
    mkdir -p $home/.ssh /vagrant
    # https://github.com/hashicorp/vagrant/blob/main/keys/vagrant.pub
    echo "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key" \
        >$home/.ssh/authorized_keys
    chmod 0700 $home/.ssh
    chmod 0600 $home/.ssh/authorized_keys
    chown -R vagrant:vagrant $home /vagrant
    if [ -d "${settings%/*}" ]; then
        printf 'UseDNS no\nGSSAPIAuthentication no\n' >$settings
    else
        # sshd takes the first of two settings.
        settings=/etc/ssh/sshd_config
        printf 'UseDNS no\nGSSAPIAuthentication no\n' | cat - $settings >$settings.new
        cat $settings.new >$settings
        rm $settings.new
    fi
    if [ -d "${sudoers%/*}" ]; then
        echo "$grant" >$sudoers
        chmod 0440 $sudoers
    else
        sudoers=/etc/sudoers
        echo "$grant" >>$sudoers
    fi
    visudo -cf $sudoers
    baseInsertService sshd
}

# ---- what is taken away

# baseStripAndKeep WORD...: of the paths on standard input, those go whose last name no WORD (a basic regular expression) matches.
baseStripAndKeep() {
    local file name word keep
    while IFS= read -r file; do
        name=${file##*/}
        keep=no
        # shellcheck disable=SC2048 # a word may be a list of words
        for word in $*; do
            if printf '%s\n' "$name" | grep -q -e "$word"; then
                keep=yes
                break
            fi
        done
        if [ $keep = no ]; then
            Rm -rf "$file"
        fi
    done
}

# baseStripLocales WORD...: compiled locales but those that match a WORD.
baseStripLocales() {
    if [ -d /usr/lib/locale ]; then
        find /usr/lib/locale -mindepth 1 -maxdepth 1 -type d | baseStripAndKeep "$@"
    fi
}

# baseStripTranslations WORD...: message catalogues but those whose path matches a WORD; without one, none goes. KIWI takes
# several words for one expression with blanks, which matches nothing.
baseStripTranslations() {
    local file word keep
    [ $# -gt 0 ] || return 0
    [ -d /usr/share/locale ] || return 0
    find /usr/share/locale -name '*.mo' | while IFS= read -r file; do
        keep=no
        # shellcheck disable=SC2048 # a word may be a list of words
        for word in $*; do
            if printf '%s\n' "$file" | grep -q -e "$word"; then
                keep=yes
                break
            fi
        done
        [ $keep = yes ] || rm -f "$file"
    done
}

# The directories that hold shared libraries.
_libraryDirectories() {
    local directory
    for directory in /lib /lib64 /usr/lib /usr/lib64 /usr/X11R6/lib* /lib/*-linux-gnu* /usr/lib/*-linux-gnu*; do
        [ ! -d "$directory" ] || echo "$directory"
    done
}

# baseStripUnusedLibs PREFIX...: libraries that no program of the bin directories is linked against; those that begin with a
# PREFIX stay.
baseStripUnusedLibs() {
    local needed file directory prefix name
    ldconfig
    needed=$(
        for file in /usr/bin/* /bin/* /sbin/* /usr/sbin/* /lib/systemd/systemd-*; do
            ldd "$file" 2>/dev/null || :
        done | sed -n 's@^[^/]*\(/[^ ]*\).*@\1@p' | sort -u | while IFS= read -r file; do
            [ ! -e "$file" ] || readlink -f "$file"
        done | sed 's@.*/@@' | sort -u
    )
    needed="
$needed
"
    for directory in $(_libraryDirectories); do
        for file in "$directory"/lib*; do
            [ -f "$file" ] || continue
            [ ! -L "$file" ] || continue
            name=${file##*/}
            # shellcheck disable=SC2048 # a word may be a list of words
            for prefix in $*; do
                case $name in "$prefix"*) continue 2 ;; esac
            done
            case $needed in
            *"
$name
"*) ;;
            *)
                echo "Removing library: $file"
                rm "$file"
                ;;
            esac
        done
    done
}

# baseStripTools DIRECTORY "NAME...": files below DIRECTORY but those of these names.
baseStripTools() {
    local file names
    # shellcheck disable=SC2086 # words, however they are separated
    names=" $(printf '%s ' ${2-})"
    find "$1" | while IFS= read -r file; do
        case $names in
        *" ${file##*/} "*) ;;
        *) [ -d "$file" ] || Rm -fv "$file" ;;
        esac
    done
}

# baseStripInitrd NAME...: programs but those of <strip type="tools"> and these names. Only in the tree of a boot image.
baseStripInitrd() {
    local directory
    if [ "${kiwi_initrd_system-}" = dracut ]; then
        echo "dracut initrd system requested, initrd strip skipped"
        return 0
    fi
    for directory in /sbin /usr/sbin /usr/bin /bin; do
        baseStripTools "$directory/" "${kiwi_strip_tools-} $*"
    done
}
suseStripInitrd() { baseStripInitrd "$@"; }

# Kernel modules below a directory, compressed or not.
_modules() {
    find "$1" -type f \( -name '*.ko' -o -name '*.ko.xz' -o -name '*.ko.zst' -o -name '*.ko.gz' \) | sort
}

# baseStripFirmware: firmware that no module of the tree names; licences and texts stay.
baseStripFirmware() {
    local kept=/lib/firmware-required names name file
    [ -d /lib/firmware ] || return 0
    mkdir -p $kept
    names=$(_modules /lib/modules | while IFS= read -r file; do
        modinfo "$file" | sed -n 's/^firmware: *//p'
    done | sort -u)
    {
        printf '%s\n' "$names" | while IFS= read -r name; do
            [ -n "$name" ] || continue
            for file in /lib/firmware/"$name" /lib/firmware/*/"$name"; do
                printf '%s\n' "$file" "$file.xz" "$file.gz" "$file.zst"
            done
            # A name may be a pattern: iwlwifi-*.ucode.
            # shellcheck disable=SC2086
            (IFS=; printf '%s\n' /lib/firmware/$name)
        done
        find /lib/firmware \( -name 'LICENSE*' -o -name '*txt' \)
    } | while IFS= read -r file; do
        if [ -e "$file" ] || [ -L "$file" ]; then
            name=${file#/lib/firmware/}
            mkdir -p "$(dirname "$kept/$name")"
            mv "$file" "$kept/$name"
        fi
    done
    rm -rf /lib/firmware
    mv $kept /lib/firmware
}

# baseStripModules: a module that is in a kernel's `updates`, too, is kept there alone. KIWI compares the modules of all kernels,
# and takes away every module that two kernels have.
baseStripModules() {
    local kernel update file found=''
    for kernel in /lib/modules/*; do
        [ -d "$kernel" ] || continue
        for update in $(_modules "$kernel" | grep /updates/); do
            for file in $(_modules "$kernel" | grep -v /updates/ | grep -F "/${update##*/}"); do
                [ "${file##*/}" = "${update##*/}" ] || continue
                found=yes
                echo "baseStripModules: Update driver found for ${update##*/}"
                echo "baseStripModules: Removing old version: $file"
                rm -f "$file"
            done
        done
    done
    [ -n "$found" ] || echo "baseStripModules: No old versions for update drivers found"
}

# baseKernelDriverMatches PATH: whether an expression of $kiwi_drivers (comma between them) matches it.
baseKernelDriverMatches() {
    local pattern
    for pattern in $(echo "${kiwi_drivers-}" | tr , ' '); do
        if printf '%s\n' "$1" | grep -Eq -e "$pattern"; then
            return 0
        fi
    done
    return 1
}

# baseCreateKernelTree: a copy of the modules, at which the functions below cut.
baseCreateKernelTree() {
    echo "Creating copy of kernel tree for strip operations"
    mkdir -p /kernel-tree
    cp -a /lib/modules/* /kernel-tree/
}

# baseSyncKernelTree: the copy becomes the modules.
baseSyncKernelTree() {
    echo "Replace kernel tree with downsized version"
    rm -rf /lib/modules/*
    cp -a /kernel-tree/* /lib/modules/
    rm -rf /kernel-tree
}

# baseStripKernelModules: of the copy, modules of the kernel itself that <drivers> does not name.
baseStripKernelModules() {
    local kernel file
    for kernel in /kernel-tree/*; do
        [ -d "$kernel/kernel" ] || continue
        echo "Downsizing kernel modules for $kernel"
        _modules "$kernel/kernel" | while IFS= read -r file; do
            if ! baseKernelDriverMatches "$file"; then
                echo "Deleting unwanted module: $file"
                rm -f "$file"
            fi
        done
    done
}

# baseFixupKernelModuleDependencies: what the modules that are left need comes back into the copy.
baseFixupKernelModuleDependencies() {
    local kernel version file name needed
    for kernel in /kernel-tree/*; do
        [ -d "$kernel" ] || continue
        echo "Checking kernel dependencies for $kernel"
        version=${kernel##*/}
        _modules "$kernel" | while IFS= read -r file; do
            name=${file##*/}
            modprobe --set-version "$version" --ignore-install --show-depends "${name%%.ko*}" </dev/null |
                sed -n 's@.*insmod */*\([^ ]*\).*@\1@p' | while IFS= read -r needed; do
                [ -f "/$needed" ] || continue
                case $needed in
                usr/lib/modules/*) name=/kernel-tree/${needed#usr/lib/modules/} ;;
                *) name=/kernel-tree/${needed#lib/modules/} ;;
                esac
                if [ ! -f "$name" ]; then
                    printf 'Fix %s:\n  --> needs: %s\n' "$file" "$name"
                    mkdir -p "${name%/*}"
                    cp -a "/$needed" "$name"
                fi
            done
        done
    done
}

# baseUpdateModuleDependencies: the indexes of modules, where a kernel's symbols are there.
baseUpdateModuleDependencies() {
    local kernel version
    for kernel in /lib/modules/*; do
        version=${kernel##*/}
        if [ -d "$kernel" ] && [ -f "/boot/System.map-$version" ]; then
            depmod -F "/boot/System.map-$version" "$version"
        fi
    done
}

# baseStripKernel: <strip type="delete">, then modules and firmware as <drivers> has them. Only in the tree of a boot image.
baseStripKernel() {
    local path
    if [ "${kiwi_initrd_system-}" = dracut ]; then
        echo "dracut initrd system requested, kernel strip skipped"
        return 0
    fi
    for path in ${kiwi_strip_delete-}; do
        echo "Removing file/directory: $path"
        rm -rf "$path"
    done
    baseCreateKernelTree
    baseStripKernelModules
    baseFixupKernelModuleDependencies
    baseSyncKernelTree
    baseStripModules
    baseStripFirmware
    baseUpdateModuleDependencies
}
suseStripKernel() { baseStripKernel; }

# ---- names of old that do nothing; in KIWI 10 and 11 a script that calls one fails

_obsolete() {
    echo "warning: $1 does nothing any more: $2" >&2
}

baseCleanMount() { _obsolete baseCleanMount "the build mounts and unmounts"; }
baseMount() { _obsolete baseMount "the build mounts and unmounts"; }
baseCleanup() { _obsolete baseCleanup "the build cleans up"; }
suseCleanup() { _obsolete suseCleanup "the build cleans up"; }
baseSetupUserPermissions() { _obsolete baseSetupUserPermissions "packages set their permissions"; }
baseGetPackagesForDeletion() { _obsolete baseGetPackagesForDeletion "they are in \$kiwi_delete"; }
baseGetProfilesUsed() { _obsolete baseGetProfilesUsed "they are in \$kiwi_profiles"; }
baseStripMans() { _obsolete baseStripMans "rpm-excludedocs leaves documentation out"; }
baseStripDocs() { _obsolete baseStripDocs "rpm-excludedocs leaves documentation out"; }
baseStripInfos() { _obsolete baseStripInfos "rpm-excludedocs leaves documentation out"; }
Rpm() { _obsolete Rpm "call rpm"; }
suseActivateDefaultServices() { _obsolete suseActivateDefaultServices "call baseInsertService for each"; }
suseConfig() { _obsolete suseConfig "there is no such program"; }
suseRemoveYaST() { _obsolete suseRemoveYaST "remove its packages"; }
suseSetupProductInformation() { _obsolete suseSetupProductInformation "products are packages"; }
rhelSplashToGrub() { _obsolete rhelSplashToGrub "kernels show no splash"; }
rhelStripInitrd() { _obsolete rhelStripInitrd "only SUSE had boot images"; }
rhelStripKernel() { _obsolete rhelStripKernel "only SUSE had boot images"; }
debianStripInitrd() { _obsolete debianStripInitrd "only SUSE had boot images"; }
debianStripKernel() { _obsolete debianStripKernel "only SUSE had boot images"; }
