# Packages of any release of Debian, unpacked into a folder: nothing is installed, no right is needed.
# To be sourced.

# The folder that keeps what is known of the releases.
DEBIAN_STATE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../.tools/debian

# debian_archive: where this machine has its packages from.
debian_archive() {
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" && !found++ { print $3 }'
}

# apt_of RELEASE COMMAND…: runs an apt command as if the machine were an empty one of that release, from
# the archive that the machine itself uses.
apt_of() {
  local release=$1 root=$DEBIAN_STATE/$1
  shift
  if [[ ! -f $root/apt.conf ]]; then
    local archive
    archive=$(debian_archive)
    [[ -n $archive ]] || return 1
    mkdir -p "$root"/{state/lists/partial,cache/archives/partial}
    : >"$root/state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $release main" >"$root/sources.list"
    cat >"$root/apt.conf" <<END
Dir::State "$root/state";
Dir::State::status "$root/state/status";
Dir::Cache "$root/cache";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "/nonexistent";
Acquire::Languages "none";
APT::Install-Recommends "false";
END
    APT_CONFIG=$root/apt.conf apt-get update --quiet --quiet >&2 || {
      rm "$root/apt.conf"
      return 1
    }
  fi
  APT_CONFIG=$root/apt.conf "$@"
}

# unpack RELEASE FOLDER PACKAGE…: the packages alone, without what they depend on.
unpack() {
  local release=$1 folder=$2 downloads
  shift 2
  downloads=$(mktemp -d)
  mkdir -p "$folder"
  # What apt says of users and rights is of no use here; whether it worked is.
  (cd "$downloads" && apt_of "$release" apt-get download --quiet --quiet "$@" 2>&1) >"$downloads/said" || {
    cat "$downloads/said" >&2
    rm -r "$downloads"
    return 1
  }
  for package in "$downloads"/*.deb; do
    dpkg -x "$package" "$folder"
  done
  rm -r "$downloads"
}

# closure RELEASE PACKAGE…: the names of the packages and of all that they need.
closure() {
  local release=$1
  shift
  apt_of "$release" apt-get install --simulate "$@" | awk '$1 == "Inst" { print $2 }'
}
