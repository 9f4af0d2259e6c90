//! The recovery kit in English.

use super::Kit;

pub(super) fn render(kit: &Kit) -> String {
    let identity = identity(kit);
    let fetch = kit
        .fetch()
        .map(|command| format!("{command}\n"))
        .unwrap_or_default();
    format!(
        "# Recovery kit

How to get the data back, with Resguardo and without. Made {made:.0} on {host}. This page holds no secret:
print it, and keep it away from the machine.

| | |
|---|---|
| vault | `{place}` |
| vault id | `{vault}` |
| sources | {sources} |
| writer of {host} | `{writer}` |
{other_writers}
Backups can be read with the identity of any of these recipients:

{recipients}
## The identity

An age identity file. It begins with `AGE-SECRET-KEY-1`, or was encrypted with `age -p`. It is kept here:

{identity}

## With Resguardo, on any machine

```sh
resguardo list --vault {place}
{restores}```

Nothing else is needed: no config, no other key.

{copies}## Without Resguardo

With Python 3.9 or newer and the tools `age`, `zstd` and `openssl` (`apt install age zstd openssl python3`). The program lies in
the vault itself; it restores the newest backup and checks every digest:

```sh
{fetch}python3 {folder}/read_vault.py {folder} --list
python3 {folder}/read_vault.py {folder} --identity identity.txt --source {source} --out restored \\
  {writer_flags}
```

{postgres}## By hand, if even that fails

Every object is a standard age file with zstd frames inside. The newest `head.json` names the manifest and
the packs; the manifest says which bytes of which pack make which file:

```sh
cat {folder}/{source}/snapshots/BACKUP.head.json
age -d -i identity.txt {folder}/{source}/snapshots/BACKUP.manifest.age | zstd -d
age -d -i identity.txt {folder}/{source}/packs/PACK.age | zstd -d > data
```

The format is written down to the byte in `docs/format.md` of Resguardo; `README.txt` in the vault has the rest.

## Try it

A kit that was never tried is a hope. Once a quarter, on another machine, run the command under \"With
Resguardo\", and write the date here: ____________  ____________  ____________  ____________
",
        made = kit.made_at,
        host = kit.host,
        place = kit.place,
        vault = kit.vault,
        sources = if kit.sources.is_empty() { "-".to_owned() } else { kit.sources.join(", ") },
        writer = kit.writer,
        other_writers = kit.writer_rows(["also believed","retired on"]),
        writer_flags = kit.writer_flags(),
        copies = kit.copies_part(
            [
                "If the vault is gone: its copies",
                "These places hold the same backups. Each can stand in the place of the vault in every command of this page:",
                "then by hand, as below",
                "On a machine that has the config of this one; the second makes the vault itself again:",
            ],
            "restored",
        ),
        recipients = kit.recipients_list(),
        source = kit.a_source(),
        restores = kit.restores("restored"),
        postgres = kit.postgres_steps(
            "What comes out of a PostgreSQL source is a folder of files for PostgreSQL's own tools:",
            "restored",
            "if there is one",
        ),
        folder = kit.folder(),
    )
}

/// Where the identity is kept.
fn identity(kit: &Kit) -> String {
    match (&kit.identity, kit.protected) {
        (Some(path), true) => format!(
            "`{path}` on {host}, protected by a passphrase. **Put a copy of the file somewhere else NOW**, and the\npassphrase in another place. If both are lost, nobody can ever open these backups.",
            host = kit.host
        ),
        (Some(path), false) => format!(
            "`{path}` on {host}, readable by whoever has the file. **Put a copy somewhere else NOW** (a password\nmanager, a safe). If it is lost, nobody can ever open these backups.",
            host = kit.host
        ),
        (None, _) => "Not on the machine that made this page. Write down here where it is kept:\n\n______________________________________________".to_owned(),
    }
}
