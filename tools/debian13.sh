# For scripts that take packages of Debian 13 on Debian 12 (amd64, root) without touching the system: `debian13 LINE...` makes
# a folder $tmp, which goes when the script ends, and there apt's lists of a line each, a kind and a suite as in "deb trixie",
# from the mirror that apt already uses here. `apt-get $opts` reads them.
debian13() {
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  mkdir -p "$tmp/lists/partial"
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -n 1)
  for line; do
    echo "${line% *} [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${line#* } main"
  done >"$tmp/src.list"
  opts="-oDir::Etc::sourcelist=$tmp/src.list -oDir::Etc::sourceparts=/dev/null -oDir::State::lists=$tmp/lists
    -oDir::State::status=/dev/null -oAPT::Sandbox::User=root -oAcquire::Languages=none
    -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"
  # shellcheck disable=SC2086
  apt-get $opts update -qq
}
