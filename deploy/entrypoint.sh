#!/bin/sh
# Runs a command with the secrets that are files: what is in /run/secrets/API_KEY becomes API_KEY.
# A variable that is set already stays. No secret is shown, and none is in the image.
set -eu
for file in "${SECRETS_FOLDER:-/run/secrets}"/*; do
  name=${file##*/}
  case $name in
    [0-9]* | *[!A-Z0-9_]*) continue ;;
  esac
  [ -f "$file" ] || continue
  if [ ! -r "$file" ]; then
    echo "The secret $file cannot be read by $(id -un 2>/dev/null || id -u): let that user read it." >&2
    exit 1
  fi
  eval "present=\${$name+set}"
  [ -n "$present" ] || export "$name=$(cat "$file")"
done
exec "$@"
