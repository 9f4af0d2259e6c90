"""Ocupa el lugar de `npm run test:ci` y `npm run test:contract`, sobre la base restaurada."""

import os
import sqlite3
import sys

base = sqlite3.connect(f"file:{os.environ['RESGUARDO_DATABASE_PATH']}?mode=ro", uri=True)
if sys.argv[1] == "ci":
    mal = base.execute("select count(*) from productos where precio <= 0").fetchone()[0]
    assert mal == 0, f"{mal} productos sin precio"
else:
    columnas = [fila[1] for fila in base.execute("pragma table_info(pedidos)")]
    assert columnas == ["id", "usuario_id", "producto_id", "cantidad"], columnas
print(f"{sys.argv[1]}: bien")
