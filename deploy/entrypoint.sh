#!/bin/sh
# Runs a command with the secrets that are files: what is in /run/secrets/API_KEY becomes API_KEY.
# A variable that is set already stays. No secret is shown, and none is in the image.
set -eu
folder=${SECRETS_FOLDER:-/run/secrets}

refused() {
  echo "$1 cannot be read by user $(id -u): let that user read it. It should have a secret." >&2
  exit 1
}

if [ -d "$folder" ] && ! ls "$folder" >/dev/null 2>&1; then refused "$folder"; fi
for file in "$folder"/*; do
  name=${file##*/}
  case $name in
    [0-9]* | *[!A-Z0-9_]*) continue ;;
  esac
  [ -f "$file" ] || continue
  [ -r "$file" ] || refused "$file"
  eval "present=\${$name+set}"
  [ -n "$present" ] || export "$name=$(cat "$file")"
done
exec "$@"
