//! Real S3 servers: `s3s-fs`, which checks signatures and checksums, and moto, which knows versioning
//! and object lock.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use super::Server;
use crate::tools;

/// moto, which under a rule of the bucket ("default retention") takes an upload only with `Content-MD5` or
/// `x-amz-sdk-checksum-algorithm`, and is told that one with `x-amz-checksum-sha256` has the latter. S3 itself asks for
/// "Content-MD5 OR x-amz-checksum-", as its own refusal says; an upload that has neither is refused here as well.
const MOTO: &str = "
from moto.moto_server import werkzeug_app
from moto.server import main

application = werkzeug_app.DomainDispatcherApplication
inner = application.__call__


def call(self, environ, start_response):
    if 'HTTP_X_AMZ_CHECKSUM_SHA256' in environ:
        environ.setdefault('HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM', 'SHA256')
    return inner(self, environ, start_response)


application.__call__ = call
main()
";

/// A server with its data, gone when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    server: Server,
    /// Buckets are folders in here (`s3s-fs` only).
    folder: TempDir,
    is_moto: bool,
}

impl S3Server {
    /// The access key that the servers know.
    pub const ACCESS_KEY_ID: &str = "AKIARESGUARDOTEST";
    /// Its secret half.
    pub const SECRET_ACCESS_KEY: &str = "secreto-de-prueba";

    /// Starts `s3s-fs`: checks signatures and checksums, has no versions.
    #[must_use]
    pub fn s3s_fs() -> Self {
        Self::s3s_fs_at(None)
    }

    /// The same, with buckets as virtual hosts: `bucket.<domain>`, on the port of [`Self::address`].
    #[must_use]
    pub fn s3s_fs_with_domain(domain: &str) -> Self {
        Self::s3s_fs_at(Some(domain))
    }

    fn s3s_fs_at(domain: Option<&str>) -> Self {
        let program = tools::find("s3s-fs", "bin");
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let server = Server::start(folder.path(), |port| {
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", Self::ACCESS_KEY_ID]);
            command.args(["--secret-key", Self::SECRET_ACCESS_KEY]);
            if let Some(domain) = domain {
                command.args(["--domain", &format!("{domain}:{port}")]);
            }
            command.arg(&data);
            command
        });
        Self {
            server,
            folder,
            is_moto: false,
        }
    }

    /// Starts moto: versioning and object lock, but checks neither signatures nor checksums.
    #[must_use]
    pub fn moto() -> Self {
        let python = tools::find("moto_server", "venv/bin").with_file_name("python3");
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), |port| {
            let mut command = Command::new(&python);
            command.args(["-c", MOTO, "-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        });
        Self {
            server,
            folder,
            is_moto: true,
        }
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        if self.is_moto {
            self.put_unsigned(&format!("/{name}"), "", "");
        } else {
            std::fs::create_dir(self.folder.path().join("data").join(name)).unwrap();
        }
    }

    /// Makes a bucket whose objects can be locked, and so have versions (moto only).
    pub fn create_locked_bucket(&self, name: &str) {
        assert!(self.is_moto, "s3s-fs knows no object lock");
        self.put_unsigned(
            &format!("/{name}"),
            "x-amz-bucket-object-lock-enabled: true\r\n",
            "",
        );
        let versioning =
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.put_unsigned(&format!("/{name}?versioning"), "", versioning);
    }

    /// Locks every object that comes into a locked bucket for so many days (moto only).
    pub fn lock_new_objects(&self, bucket: &str, mode: &str, days: u32) {
        assert!(self.is_moto, "s3s-fs knows no object lock");
        let rule = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
        );
        self.put_unsigned(&format!("/{bucket}?object-lock"), "", &rule);
    }

    /// Locks one object of a locked bucket (moto only).
    pub fn lock_object(&self, bucket: &str, key: &str, mode: &str, until: &str) {
        assert!(self.is_moto, "s3s-fs knows no object lock");
        let lock = format!(
            "<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        self.put_unsigned(&format!("/{bucket}/{key}?retention"), "", &lock);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Ends the server, as a crash would; its data stay until it is dropped.
    pub fn kill(self) -> TempDir {
        self.folder
    }

    /// A `PUT` without signature, which moto takes.
    fn put_unsigned(&self, path: &str, headers: &str, body: &str) {
        let mut stream = TcpStream::connect(self.server.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "PUT {path} HTTP/1.1\r\nhost: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}",
            self.server.address,
            Self::ACCESS_KEY_ID,
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "PUT {path}: {answer}");
    }
}
