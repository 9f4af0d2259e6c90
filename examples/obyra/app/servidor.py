"""Ocupa el lugar de la aplicación: responde en PORT con lo que hay en la base de DATABASE_URL."""

import http.server
import json
import os
import subprocess

TOKENS = set()
ORDENES = """
select json_agg(fila) from (
  select o.id, e.nombre as estado from app.ordenes o join app.estados e on e.id = o.estado_id order by o.id limit 20
) fila
"""
REPORTES = "select json_build_object('total', sum(monto)::bigint, 'ordenes', count(*)) from app.ordenes"


def preguntar(sql):
    orden = ["psql", "-XAtqc", sql, os.environ["DATABASE_URL"]]
    return subprocess.run(orden, capture_output=True, text=True, check=True).stdout.strip()


class Obyra(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in TOKENS:
            return self.responder(401, {"error": "sin sesión"})
        if self.path == "/ordenes":
            return self.responder(200, {"ordenes": json.loads(preguntar(ORDENES) or "[]")})
        if self.path == "/reportes":
            return self.responder(200, json.loads(preguntar(REPORTES)))
        self.responder(404, {"error": "no existe"})

    def do_POST(self):
        usuario = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))["usuario"]
        conocidos = preguntar("select nombre from app.usuarios").splitlines()
        if self.path != "/login" or usuario not in conocidos:
            return self.responder(403, {"error": "usuario desconocido"})
        token = os.urandom(16).hex()
        TOKENS.add(token)
        self.responder(200, {"token": token})

    def responder(self, estado, valor):
        cuerpo = json.dumps(valor, ensure_ascii=False).encode()
        self.send_response(estado)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(cuerpo)))
        self.end_headers()
        self.wfile.write(cuerpo)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Obyra).serve_forever()
