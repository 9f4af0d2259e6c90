#!/bin/sh
# Ocupa el lugar de `pm2 stop api` y `pm2 start api`.
set -eu
case "$1" in
  stop) echo detenida > api.estado ;;
  start) echo iniciada > api.estado ;;
  *) echo "uso: api.sh stop|start" >&2; exit 2 ;;
esac
