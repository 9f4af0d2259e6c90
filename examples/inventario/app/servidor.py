"""Ocupa el lugar de la aplicación: responde en PORT con lo que hay en la base de DATABASE_URL."""

import http.server
import json
import os
import subprocess
import urllib.parse

TOKENS = set()


def preguntar(sql, **variables):
    orden = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    for nombre, valor in variables.items():
        orden += ["-v", f"{nombre}={valor}"]
    dicho = subprocess.run(orden + [os.environ["DATABASE_URL"]], input=sql, capture_output=True, text=True, check=True)
    return dicho.stdout.strip()


class Inventario(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        camino = urllib.parse.urlsplit(self.path).path
        if camino == "/health":
            return self.responder(200, {"estado": "ok" if preguntar("select 1") == "1" else "mal"})
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in TOKENS:
            return self.responder(401, {"error": "sin sesión"})
        listas = {
            "/catalogos": "select coalesce(json_agg(c order by id), '[]') from catalogos c",
            "/activos": "select coalesce(json_agg(a), '[]') from (select codigo, catalogo_id from activos order by id limit 1) a",
        }
        if camino not in listas:
            return self.responder(404, {"error": "no existe"})
        self.responder(200, {"datos": json.loads(preguntar(listas[camino]))})

    def do_POST(self):
        cuerpo = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        rol = preguntar("select rol from usuarios where nombre = :'usuario'", usuario=cuerpo["usuario"])
        if self.path != "/auth/login" or not rol:
            return self.responder(403, {"error": "usuario desconocido"})
        token = os.urandom(16).hex()
        TOKENS.add(token)
        self.responder(200, {"token": token, "rol": rol})

    def responder(self, estado, valor):
        cuerpo = json.dumps(valor, ensure_ascii=False).encode()
        self.send_response(estado)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(cuerpo)))
        self.end_headers()
        self.wfile.write(cuerpo)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Inventario).serve_forever()
