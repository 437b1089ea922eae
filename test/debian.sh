# For scripts to source: installs Debian packages.

# debian PACKAGE…: installs those that are missing. Their services are not started: the tests run their own.
debian() {
  dpkg -s "$@" >/dev/null 2>&1 && return
  local root=() policy=/usr/sbin/policy-rc.d own=false result=0
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  if [ ! -e "$policy" ]; then
    own=true
    "${root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy" || return
  fi
  local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@")
  # On a new machine the package lists of apt-get are missing or old.
  "${install[@]}" || { "${root[@]}" apt-get update -qq && "${install[@]}"; } || result=$?
  if [ "$own" = true ]; then "${root[@]}" rm -f "$policy"; fi
  return "$result"
}
