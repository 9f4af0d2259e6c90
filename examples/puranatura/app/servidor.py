"""Ocupa el lugar de la aplicación: responde en PORT con lo que hay en la base de RESGUARDO_DATABASE_PATH."""

import http.server
import json
import os
import sqlite3

TOKENS = {}
BASE = sqlite3.connect(os.environ["RESGUARDO_DATABASE_PATH"], check_same_thread=False)


class Puranatura(http.server.BaseHTTPRequestHandler):
    def usuario(self):
        return TOKENS.get(self.headers.get("authorization", "").removeprefix("Bearer "))

    def do_GET(self):
        if self.path != "/api/catalogo" or self.usuario() is None:
            return self.responder(401, {"error": "sin sesión"})
        filas = BASE.execute("select nombre, precio from productos order by id")
        self.responder(200, {"productos": [{"nombre": nombre, "precio": precio} for nombre, precio in filas]})

    def do_POST(self):
        cuerpo = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if self.path == "/api/login":
            return self.login(cuerpo["correo"])
        if self.path != "/api/checkout" or self.usuario() is None:
            return self.responder(401, {"error": "sin sesión"})
        with BASE:
            BASE.execute(
                "insert into pedidos (usuario_id, producto_id, cantidad) values (?, ?, ?)",
                (self.usuario(), cuerpo["producto"], cuerpo["cantidad"]),
            )
        self.responder(201, {"cantidad": cuerpo["cantidad"]})

    def login(self, correo):
        fila = BASE.execute("select id from usuarios where correo = ?", (correo,)).fetchone()
        if fila is None:
            return self.responder(403, {"error": "usuario desconocido"})
        token = os.urandom(16).hex()
        TOKENS[token] = fila[0]
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


http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Puranatura).serve_forever()
