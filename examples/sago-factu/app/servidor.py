"""Ocupa el lugar de la aplicación: responde en PORT con lo que hay en la base de DATABASE_URL."""

import http.server
import json
import os
import subprocess


def cuenta(sql):
    orden = ["psql", "-XAtqc", sql, os.environ["DATABASE_URL"]]
    return int(subprocess.run(orden, capture_output=True, text=True, check=True).stdout)


class Factu(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/api/health":
            return self.responder(404, {"ok": False})
        aceptados = cuenta("select count(*) from \"Comprobante\" where estado = 'ACEPTADO'")
        self.responder(200, {"ok": aceptados > 0, "aceptados": aceptados})

    def responder(self, estado, valor):
        cuerpo = json.dumps(valor).encode()
        self.send_response(estado)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(cuerpo)))
        self.end_headers()
        self.wfile.write(cuerpo)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Factu).serve_forever()
