#!/bin/sh
# Ocupa el lugar de lo que detiene y vuelve a iniciar los workers y el tráfico.
set -eu
case "$1" in
  entrar) : > en-mantenimiento ;;
  salir) rm -f en-mantenimiento ;;
  *) echo "uso: mantenimiento.sh entrar|salir" >&2; exit 2 ;;
esac
