#!/bin/sh
# Installs a Vulkan driver where there is none: the loader, and Mesa's drivers with a software adapter among them.
set -eu

has_driver() {
    for folder in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
        if ls "$folder"/*.json >/dev/null 2>&1; then return 0; fi
    done
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]
}

has_loader() {
    ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'
}

if [ "$(uname -s)" != Linux ] || { has_driver && has_loader; }; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Vulkan driver found: install the one of your card, or Mesa's (with its software adapter, lavapipe)" >&2
    exit 4
fi
echo "installing a Vulkan driver (mesa-vulkan-drivers, libvulkan1)" >&2
root=""
if [ "$(id -u)" != 0 ]; then root=sudo; fi
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1
