"""Ocupa el lugar de la API: responde en PORT con lo que hay en la base de DATABASE_URL."""

import http.server
import json
import os
import subprocess


def tenants():
    orden = ["psql", "-XAtqc", 'select count(*) from "Tenant"', os.environ["DATABASE_URL"]]
    return int(subprocess.run(orden, capture_output=True, text=True, check=True).stdout)


class Comercial(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            return self.responder(404, {"estado": "no existe"})
        self.responder(200, {"estado": "ok", "base": "ok" if tenants() > 0 else "vacía"})

    def responder(self, estado, valor):
        cuerpo = json.dumps(valor, ensure_ascii=False).encode()
        self.send_response(estado)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(cuerpo)))
        self.end_headers()
        self.wfile.write(cuerpo)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Comercial).serve_forever()
