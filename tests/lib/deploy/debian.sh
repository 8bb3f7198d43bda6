# Functions that unpack packages of any Debian release into a folder, without installing them and without root.
# Source this file.

# Folder for the package lists of the releases.
DEBIAN_STATE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../.tools/debian

# debian_archive: prints the URL of this machine's package archive.
debian_archive() {
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" && !found++ { print $3 }'
}

# apt_of RELEASE COMMAND…: runs an apt command as on an empty machine of that release, with this machine's
# archive.
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

# unpack RELEASE FOLDER PACKAGE…: unpacks packages without their dependencies.
unpack() {
  local release=$1 folder=$2 downloads
  shift 2
  downloads=$(mktemp -d)
  mkdir -p "$folder"
  # apt's output matters only on failure.
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

# closure RELEASE PACKAGE…: prints the names of packages and all their dependencies.
closure() {
  local release=$1
  shift
  apt_of "$release" apt-get install --simulate "$@" | awk '$1 == "Inst" { print $2 }'
}
