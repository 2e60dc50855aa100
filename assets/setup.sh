#!/bin/sh
# Installs what a fresh machine lacks: the C linker that Rust calls, and a Vulkan driver: the loader, and Mesa's drivers
# with a software adapter among them.
set -eu

has_driver() {
    for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
        if ls "$folder"/*.json >/dev/null 2>&1; then return 0; fi
    done
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]
}

has_loader() {
    # Debian keeps ldconfig off the path of ordinary users.
    PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' && return 0
    for file in /usr/lib/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/lib/*/libvulkan.so.1; do
        if [ -e "$file" ]; then return 0; fi
    done
    return 1
}

if [ "$(uname -s)" != Linux ]; then exit 0; fi
packages=""
if ! command -v cc >/dev/null 2>&1; then packages="gcc libc6-dev"; fi
if ! { has_driver && has_loader; }; then packages="$packages mesa-vulkan-drivers libvulkan1"; fi
if [ -z "$packages" ]; then exit 0; fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: what Debian calls $packages; install a C compiler (cc) if there is none, and the Vulkan driver of your" \
        "card, or Mesa's with its software adapter, lavapipe" >&2
    exit 4
fi
root=""
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "missing packages, and neither root nor sudo to install them; as root run: apt-get install" $packages >&2
        exit 4
    fi
    root=sudo
fi
echo "installing" $packages >&2
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages
