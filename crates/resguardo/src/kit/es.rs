//! The recovery kit in Spanish.

use super::Kit;

pub(super) fn render(kit: &Kit) -> String {
    let identity = identity(kit);
    let fetch = kit
        .fetch()
        .map(|command| format!("{command}\n"))
        .unwrap_or_default();
    format!(
        "# Kit de recuperación

Cómo recuperar los datos, con Resguardo y sin él. Hecho el {made:.0} en {host}. Esta página no contiene ningún
secreto: imprímala y guárdela lejos de la máquina.

| | |
|---|---|
| bóveda | `{place}` |
| id de la bóveda | `{vault}` |
| fuentes | {sources} |
| escritor de {host} | `{writer}` |
{other_writers}
Los respaldos se leen con la identidad de cualquiera de estos destinatarios:

{recipients}
## La identidad

Un archivo de identidad de age. Comienza con `AGE-SECRET-KEY-1`, o fue cifrado con `age -p`. Se guarda aquí:

{identity}

## Con Resguardo, en cualquier máquina

```sh
resguardo list --vault {place}
{restores}```

No hace falta nada más: ni configuración ni otra clave.

{copies}## Sin Resguardo

Con Python 3.9 o posterior y las herramientas `age`, `zstd` y `openssl` (`apt install age zstd openssl python3`). El programa está en
la propia bóveda; restaura el respaldo más nuevo y comprueba cada resumen SHA-256:

```sh
{fetch}python3 {folder}/read_vault.py {folder} --list
python3 {folder}/read_vault.py {folder} --identity identity.txt --source {source} --out restaurado \\
  {writer_flags}
```

{postgres}## A mano, si también eso falla

Cada objeto es un archivo age estándar con marcos zstd dentro. El `head.json` más nuevo nombra el manifiesto y los
paquetes; el manifiesto dice qué bytes de qué paquete forman qué archivo:

```sh
cat {folder}/{source}/snapshots/RESPALDO.head.json
age -d -i identity.txt {folder}/{source}/snapshots/RESPALDO.manifest.age | zstd -d
age -d -i identity.txt {folder}/{source}/packs/PAQUETE.age | zstd -d > datos
```

El formato está escrito byte por byte en `docs/format.md` de Resguardo; el resto, en `README.txt` dentro de la bóveda.

## Pruébelo

Un kit que nunca se probó es una esperanza. Una vez por trimestre, en otra máquina, ejecute la orden de \"Con
Resguardo\" y anote aquí la fecha: ____________  ____________  ____________  ____________
",
        made = kit.made_at,
        host = kit.host,
        place = kit.place,
        vault = kit.vault,
        sources = if kit.sources.is_empty() { "-".to_owned() } else { kit.sources.join(", ") },
        writer = kit.writer,
        other_writers = kit.writer_rows(["también creído","retirado el"]),
        writer_flags = kit.writer_flags(),
        copies = kit.copies_part(
            [
                "Si la bóveda se perdió: sus copias",
                "Estos lugares guardan los mismos respaldos. Cada uno sirve en lugar de la bóveda en todas las órdenes de esta página:",
                "después a mano, como abajo",
                "En una máquina que tiene la configuración de esta; la segunda orden rehace la bóveda misma:",
            ],
            "restaurado",
        ),
        recipients = kit.recipients_list(),
        source = kit.a_source(),
        restores = kit.restores("restaurado"),
        postgres = kit.postgres_steps(
            "De una fuente PostgreSQL sale una carpeta de archivos para las herramientas propias de PostgreSQL:",
            "restaurado",
            "si existe",
        ),
        folder = kit.folder(),
    )
}

/// Where the identity is kept.
fn identity(kit: &Kit) -> String {
    match (&kit.identity, kit.protected) {
        (Some(path), true) => format!(
            "`{path}` en {host}, protegida con una frase de contraseña. **Guarde YA una copia del archivo en otro lugar**, y\nla frase en un lugar distinto. Si se pierden, nadie podrá abrir nunca estos respaldos.",
            host = kit.host
        ),
        (Some(path), false) => format!(
            "`{path}` en {host}, legible para quien tenga el archivo. **Guarde YA una copia en otro lugar** (un gestor de\ncontraseñas, una caja fuerte). Si se pierde, nadie podrá abrir nunca estos respaldos.",
            host = kit.host
        ),
        (None, _) => "No está en la máquina que hizo esta página. Anote aquí dónde se guarda:\n\n______________________________________________".to_owned(),
    }
}
