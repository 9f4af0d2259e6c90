//! A real server for Azure Blob Storage: azurite.

use std::process::Command;

use tempfile::TempDir;

use super::Server;
use crate::tools;

/// Makes a container: Node.js signs the request, which azurite is written in.
const CREATE: &str = r"
const [endpoint, account, key, name] = process.argv.slice(1);
const date = new Date().toUTCString();
const toSign = `PUT${'\n'.repeat(12)}x-ms-date:${date}\nx-ms-version:2021-08-06\n/${account}/${account}/${name}\nrestype:container`;
const signature = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(toSign).digest('base64');
fetch(`${endpoint}/${name}?restype=container`, {
  method: 'PUT',
  headers: { 'x-ms-date': date, 'x-ms-version': '2021-08-06', authorization: `SharedKey ${account}:${signature}` },
}).then(async answer => {
  if (answer.status !== 201) { console.error(answer.status, await answer.text()); process.exit(1); }
});
";

/// A server with one account, gone when it is dropped. Containers are made with [`Self::create_container`].
#[derive(Debug)]
pub struct AzureServer {
    server: Server,
    _folder: TempDir,
}

impl AzureServer {
    /// The account that azurite has.
    pub const ACCOUNT: &str = "devstoreaccount1";
    /// Its key, which is in azurite's documentation.
    pub const ACCESS_KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts azurite.
    #[must_use]
    pub fn azurite() -> Self {
        let program = tools::find("azurite-blob", "node/node_modules/.bin");
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), |port| {
            let mut command = Command::new(&program);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
            command.args(["--inMemoryPersistence"]);
            command
        });
        Self {
            server,
            _folder: folder,
        }
    }

    /// Makes a container.
    pub fn create_container(&self, name: &str) {
        let output = Command::new(tools::find("node", "bin"))
            .args(["-e", CREATE, "--", &self.endpoint()])
            .args([Self::ACCOUNT, Self::ACCESS_KEY, name])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "container {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// URL of the account.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/{}", self.server.address, Self::ACCOUNT)
    }
}
