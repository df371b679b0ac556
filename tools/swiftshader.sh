#!/bin/sh
# Unpacks SwiftShader, a software Vulkan driver that shares no code with Mesa's, from Debian's chromium-common into DIR,
# without touching the system: `swiftshader.sh DIR`, then `DIR/run PROGRAM ...`. It uses the Vulkan loader that
# software-vulkan.sh has put into DIR/../software-vulkan.
set -eu
dir=$(realpath -m "${1:?usage: swiftshader.sh DIR}")
[ -x "$dir/run" ] && exit 0
loader=$(dirname "$dir")/software-vulkan
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
apt-get update -qq || true # a machine without package lists; without the right to fetch them, those there must do
(cd "$tmp" && apt-get -oAPT::Sandbox::User=root download -qq chromium-common)
dpkg-deb -x "$tmp"/chromium-common_*.deb "$tmp/root"
mkdir -p "$dir"
cp "$(find "$tmp/root" -name libvk_swiftshader.so)" "$dir/"
printf '{"ICD":{"api_version":"1.3.0","library_path":"%s/libvk_swiftshader.so"},"file_format_version":"1.0.0"}\n' "$dir" \
  >"$dir/icd.json"
cat >"$dir/run" <<X
#!/bin/sh
export VK_ICD_FILENAMES=$dir/icd.json
exec $loader/ld-linux-x86-64.so.2 --library-path $loader/lib "\$@"
X
chmod +x "$dir/run"
