# For scripts to source: what is to come from Debian's packages.

# debian PACKAGE…: what is not installed yet. Their services are not started: the tests run their own.
debian() {
  dpkg -s "$@" >/dev/null 2>&1 && return
  local root=() policy=/usr/sbin/policy-rc.d own=false result=0
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  if [ ! -e "$policy" ]; then
    own=true
    "${root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy" || return
  fi
  local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@")
  # On a new machine apt-get knows no packages, or only old ones.
  "${install[@]}" || { "${root[@]}" apt-get update -qq && "${install[@]}"; } || result=$?
  if [ "$own" = true ]; then "${root[@]}" rm -f "$policy"; fi
  return "$result"
}
