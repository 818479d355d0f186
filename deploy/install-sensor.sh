#!/usr/bin/env bash
# Install a sensor on Raspberry Pi OS or Debian, or remove it. `install-sensor.sh --help` states what it does.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=earwitness-edge
unit=$name.service

usage() {
    cat <<'HELP'
Usage: install-sensor.sh [--source PATH] --files FOLDER [options]
       install-sensor.sh [--source PATH] --site SITE --sensor NAME --broker HOST[:PORT]
                         --ca FILE --cert FILE --key FILE [--set GROUP.FIELD=VALUE]... [options]
       install-sensor.sh [--source PATH] [options]          an upgrade: settings and certificates stay
       install-sensor.sh --uninstall [--purge] [options]

Install the sensor's program as a service of systemd, or upgrade it. A second run with the same arguments changes
nothing. As root it takes these steps:

  1. Debian packages that are missing: python3-venv, libportaudio2, and ffmpeg for a network stream.
  2. A virtual environment in /opt/earwitness, with the extra `edge` and the versions of constraints.txt.
  3. Settings and certificates in /etc/earwitness. Only root can read the key.
  4. The unit /etc/systemd/system/earwitness-edge.service. systemd makes the service's own user without other rights
     (DynamicUser), gives it a copy of the key, and restarts a stuck service (WatchdogSec).
  5. `earwitness-edge check`, which tests microphone, level, clock, broker, TLS and disk.
  6. The start of the service, now and each time the machine starts, after its clock was set.

What it installs:
  --source PATH         a checkout of the sources, or a wheel (default: the checkout of this script)
  --constraints FILE    versions of the dependencies (default: constraints.txt of the checkout, or beside the wheel)
  --extra NAME          edge, or privacy for `privacy.no_speech` and `privacy.sealed_to` (default: edge)

The sensor's settings, one of:
  --files FOLDER        the sensor's folder of `earwitness-hub deployment add-sensor`: edge.toml, servers.crt,
                        sensor.crt, sensor.key
  --site, --sensor      its name in the network
  --broker HOST[:PORT]  the broker, over TLS (default port: 8883)
  --ca, --cert, --key   the authority of the broker's certificate; certificate and key of this sensor (PEM)
  --set GROUP.FIELD=V   another setting, such as source.device=USB or levels.full_scale_db_spl=114

Options:
  --overwrite           replace an edge.toml that differs (default: keep it)
  --hardware-watchdog   let the machine's watchdog reset it when the kernel hangs (RuntimeWatchdogSec=15)
  --no-start            install, and neither check nor start
  --python PROGRAM      Python 3.11 or newer (default: python3)
  --root DIR            install below DIR, such as the root of a mounted card; no package, no check, no start
  --dry-run             state each step and change nothing
  --uninstall           stop and remove the service and its program; settings and spool stay
  --purge               with --uninstall: also remove settings, certificates, and the spool with its clips
  --help                show this text

Exit codes: 0 installed and all checks passed; 1 failed; 2 wrong arguments; 3 installed, but `check` found a fault.

Examples:
  sudo deploy/install-sensor.sh --files street-1
  sudo ./install-sensor.sh --source earwitness-0.1.0-py3-none-any.whl --files street-1 --hardware-watchdog
  sudo deploy/install-sensor.sh --site harbour --sensor street-2 --broker noise.example.org \
      --ca servers.crt --cert sensor.crt --key sensor.key --set source.device=USB
HELP
}

report() { printf '%s\n' "$*"; }
fail() { printf 'install-sensor.sh: %s\n' "$*" >&2; exit 1; }
misuse() { printf 'install-sensor.sh: %s; --help states the arguments\n' "$*" >&2; exit 2; }

source_path='' constraints='' extra=edge files='' site='' sensor='' broker='' ca='' cert='' key='' root=''
python=python3 overwrite='' hardware='' start=yes dry='' uninstall='' purge=''
settings=()
while [ $# -gt 0 ]; do
    case $1 in
        --source | --constraints | --extra | --files | --site | --sensor | --broker | --ca | --cert | --key | --root | --python | --set)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --source) source_path=$2 ;;
                --set) settings+=(--set "$2") ;;
                *) printf -v "${1#--}" '%s' "$2" ;;
            esac
            shift 2 ;;
        --overwrite) overwrite=yes; shift ;;
        --hardware-watchdog) hardware=yes; shift ;;
        --no-start) start=''; shift ;;
        --dry-run) dry=yes; shift ;;
        --uninstall) uninstall=yes; shift ;;
        --purge) purge=yes; shift ;;
        --help | -h) usage; exit 0 ;;
        *) misuse "unknown argument $1" ;;
    esac
done

[ -z "$purge" ] || [ -n "$uninstall" ] || misuse "--purge goes with --uninstall"
if [ -n "$root" ]; then
    [ -d "$root" ] || misuse "--root $root is no folder"
    root=$(cd "$root" && pwd)
    [ "$root" != / ] || root=''
fi
if [ -z "$root$dry" ] && [ "$(id -u)" -ne 0 ]; then
    fail "only root can install: run it again with sudo, or look at --dry-run"
fi

venv=$root/opt/earwitness
etc=$root/etc/earwitness
units=$root/etc/systemd/system
watchdog=$root/etc/systemd/system.conf.d/earwitness-watchdog.conf
state=$root/var/lib/$name
stamp=$venv/installed-sensor
changes=0

step() { # step WORDS COMMAND...: state a change, and make it unless --dry-run is given
    report "${dry:+would }$1"
    changes=$((changes + 1))
    shift
    [ -n "$dry" ] || "$@"
}

put() { # put SOURCE TARGET MODE: install a file unless the same is there
    if [ -f "$2" ] && cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then
        report "unchanged: $2"
    else
        step "write $2 (mode $3)" install -D -m "$3" "$1" "$2"
    fi
}

control() { # control COMMAND...: run systemctl for this machine, or for the folder of --root
    if [ -n "$root" ]; then systemctl --root="$root" "$@"; else systemctl "$@"; fi
}

remove() { # remove PATH...: remove what is there
    local path
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then step "remove $path" rm -rf -- "$path"; fi
    done
}

if [ -n "$uninstall" ]; then
    if [ -e "$units/$unit" ]; then
        now=--now
        [ -z "$root" ] || now=--quiet
        step "stop and disable $unit" control disable "$now" "$unit"
    fi
    remove "$units/$unit" "$watchdog"
    if [ -e "$units/earwitness-hub.service" ]; then
        report "kept: $venv, which earwitness-hub.service uses"
    else
        remove "$venv"
    fi
    if [ -n "$purge" ]; then
        # with DynamicUser the folder is a link to one in private/
        remove "$etc/edge.toml" "$etc/sensor.key" "$etc/sensor.crt" "$etc/servers.crt" "$state" "$root/var/lib/private/$name"
        [ -n "$dry" ] || rmdir --ignore-fail-on-non-empty "$etc" 2>/dev/null || true
    else
        for path in "$etc" "$state"; do [ ! -e "$path" ] || report "kept: $path (--purge removes it)"; done
    fi
    [ -n "$root$dry" ] || [ "$changes" -eq 0 ] || systemctl daemon-reload
    [ "$changes" -gt 0 ] || report "nothing is installed"
    exit 0
fi

# 1. What is installed, and whether this machine can run it.
source_path=${source_path:-$(dirname "$here")}
service=$here/systemd/$unit
if [ -d "$source_path" ]; then
    [ -f "$source_path/pyproject.toml" ] || misuse "--source $source_path is no checkout: it has no pyproject.toml"
    service=$source_path/deploy/systemd/$unit
    constraints=${constraints:-$source_path/constraints.txt}
elif [ -f "$source_path" ]; then
    case $source_path in *.whl) ;; *) misuse "--source $source_path is neither a checkout nor a wheel (.whl)" ;; esac
    constraints=${constraints:-$(dirname "$source_path")/constraints.txt}
else
    misuse "--source $source_path does not exist"
fi
[ -f "$service" ] || service=$here/$unit
[ -f "$service" ] || fail "$unit is neither in $here/systemd nor beside this script: copy it there"
source_path=$(realpath -- "$source_path")
[ -f "$constraints" ] || misuse "$constraints does not exist: --constraints names the versions of the dependencies"
constraints=$(realpath -- "$constraints")
case $extra in edge | privacy) ;; *) misuse "--extra $extra: edge or privacy" ;; esac
machine=$(uname -m)
case $machine in
    x86_64 | aarch64) ;;
    *) fail "a 64-bit system is needed; this one is $machine: install the 64-bit Raspberry Pi OS" ;;
esac

# 2. Which settings and certificates it gets.
if [ -n "$files" ]; then
    [ -z "$site$sensor$broker$ca$cert$key" ] || misuse "--files has site, sensor, broker and certificates already"
    [ "${#settings[@]}" -eq 0 ] || misuse "--set does not go with --files: edit $files/edge.toml"
    for file in edge.toml servers.crt sensor.crt sensor.key; do
        [ -r "$files/$file" ] || misuse "--files $files has no $file that can be read"
    done
    ca=$files/servers.crt cert=$files/sensor.crt key=$files/sensor.key
elif [ -n "$site$sensor$broker$ca$cert$key" ]; then
    for option in site sensor broker ca cert key; do
        [ -n "${!option}" ] || misuse "--$option is missing: --site, --sensor, --broker, --ca, --cert, --key go together"
    done
    for option in ca cert key; do
        [ -r "${!option}" ] || misuse "--$option ${!option} cannot be read"
    done
elif [ ! -f "$etc/edge.toml" ]; then
    misuse "no settings are in $etc yet: give --files, or --site, --sensor, --broker, --ca, --cert and --key"
elif [ "${#settings[@]}" -gt 0 ]; then
    misuse "--set needs --site and the others: edit $etc/edge.toml"
fi

# 3. Debian packages.
packages=(python3-venv libportaudio2)
if printf '%s\n' "${settings[@]}" | grep -qx 'source.kind=stream' \
    || grep -qsE '^kind *= *"stream"' "${files:-$etc}/edge.toml"; then
    packages+=(ffmpeg)
fi
if [ -z "$root" ] && command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        step "install ${missing[*]} with apt-get" env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
    else
        report "unchanged: packages ${packages[*]}"
    fi
fi
command -v "$python" >/dev/null || fail "there is no $python: apt-get install python3-venv, or set --python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "Python 3.11 or newer is needed, $("$python" --version) is here: use Raspberry Pi OS 12, or set --python"

# 4. The program. A file names what is installed; it is written last, so that an interrupted installation is repeated.
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
parts=(pyproject.toml README.md LICENSE shared edge) # without the hub's code and networks, which a sensor does not use
if [ -d "$source_path" ]; then
    digest=$(cd "$source_path" && find "${parts[@]}" -type f -not -path '*/__pycache__/*' -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
else
    digest=$(sha256sum <"$source_path")
fi
wanted="$extra ${digest%% *} $(sha256sum <"$constraints")"

# shellcheck disable=SC2317 # `step` calls it
install_program() {
    local wheel=$source_path pip
    if ! "$venv/bin/python" -c '' 2>/dev/null; then "$python" -m venv --clear "$venv"; fi
    rm -f -- "$stamp"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
    export PIP_CONSTRAINT=$constraints # the option does not apply to the build of a wheel
    if [ -d "$source_path" ]; then
        mkdir "$work/source"
        (cd "$source_path" && tar --create --exclude=__pycache__ "${parts[@]}") | tar --extract --directory "$work/source"
        "${pip[@]}" wheel --no-deps --wheel-dir "$work" "$work/source"
        wheel=$(find "$work" -maxdepth 1 -name '*.whl')
    fi
    if [ -e "$venv/bin/$name" ]; then # another build may have the same version
        "${pip[@]}" install --no-deps --force-reinstall "$wheel"
    fi
    "${pip[@]}" install "${wheel}[$extra]"
    if [ -n "$root" ]; then # scripts name their interpreter by its path, in the second line if it is long
        find "$venv/bin" -type f -exec sed -i "1s|^#!$root/|#!/|; 2s|$root/|/|" {} +
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    report "unchanged: $venv"
else
    step "install $source_path into $venv" install_program
fi

# 5. Settings and certificates.
new=$work/edge.toml
if [ -n "$files" ]; then
    cp -- "$files/edge.toml" "$new"
elif [ -n "$site" ]; then
    host=$broker port=8883
    case $broker in
        \[*\]:*) host=${broker%:*} port=${broker##*:} ;;
        \[*\] | *:*:*) ;; # an IPv6 address without a port
        *:*) host=${broker%:*} port=${broker##*:} ;;
    esac
    host=${host#[} host=${host%]}
    values=(--set "sensor.site=$site" --set "sensor.name=$sensor" --set "mqtt.host=$host" --set "mqtt.port=$port"
        --set mqtt.tls=true --set mqtt.ca_file=/etc/earwitness/servers.crt --set mqtt.cert_file=/etc/earwitness/sensor.crt
        --set mqtt.key_file=/etc/earwitness/sensor.key --set source.kind=microphone
        --set "spool.path=/var/lib/$name/spool.db" "${settings[@]}")
    if [ -n "$dry" ]; then
        : >"$new"
        report "would make edge.toml: $name config show ${values[*]}"
    else
        "$venv/bin/python" -m edge config show "${values[@]}" >"$new" || fail "these settings are refused: see above"
    fi
fi
if [ -n "$files$site" ]; then
    put "$ca" "$etc/servers.crt" 644
    put "$cert" "$etc/sensor.crt" 644
    put "$key" "$etc/sensor.key" 600
    if [ -f "$etc/edge.toml" ] && ! cmp -s "$new" "$etc/edge.toml" && [ -z "$overwrite" ]; then
        report "kept: $etc/edge.toml, which differs (--overwrite replaces it)"
    else
        put "$new" "$etc/edge.toml" 644
    fi
fi

# 6. The service.
put "$service" "$units/$unit" 644
if [ -n "$hardware" ]; then
    printf '%s\n' '# Reset the machine if systemd does not report for 15 s, the limit of a Raspberry Pi.' '[Manager]' \
        RuntimeWatchdogSec=15 >"$work/watchdog.conf"
    put "$work/watchdog.conf" "$watchdog" 644
fi
if [ -z "$root$dry" ] && [ "$changes" -gt 0 ]; then
    systemctl daemon-reload
    [ -z "$hardware" ] || systemctl daemon-reexec # reads RuntimeWatchdogSec
fi
for one in "$unit" systemd-time-wait-sync.service; do
    if [ "$(control is-enabled "$one" 2>/dev/null || true)" = enabled ]; then
        report "unchanged: $one is enabled"
    elif [ "$one" = "$unit" ] || control cat "$one" >/dev/null 2>&1; then
        step "enable $one" control enable --quiet "$one"
    fi
done

# 7. Check and start.
code=0
if [ -n "$root" ] || [ -z "$start" ]; then
    report "not checked and not started. Later: $name check --config /etc/earwitness/edge.toml; systemctl start $name"
elif [ "$changes" -eq 0 ] && systemctl is-active --quiet "$unit"; then
    report "$unit runs"
elif [ -n "$dry" ]; then
    report "would stop $unit, run $name check, and start $unit"
else
    systemctl stop "$unit" # `check` needs the spool and the microphone for itself
    "$venv/bin/$name" check --config "$etc/edge.toml" || code=3
    systemctl restart "$unit"
    report "$unit runs; its log: journalctl --unit $name --follow"
fi
[ "$changes" -gt 0 ] || report "nothing changed"
[ "$code" -eq 0 ] || report "installed, but a check failed: see FAIL above; repeat with $venv/bin/$name check --config $etc/edge.toml"
exit "$code"
