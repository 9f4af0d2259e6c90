"""Ocupa el lugar de `npm run seed -- --force`: repone los usuarios mínimos donde falten."""

import os
import sqlite3

with sqlite3.connect(os.environ["RESGUARDO_DATABASE_PATH"]) as base:
    base.execute("insert into usuarios (correo) values ('smoke@puranatura.test') on conflict do nothing")
