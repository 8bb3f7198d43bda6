//! Certificates for a Redis with TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Certificate of `localhost`, and the CA that signed it.
#[derive(Debug)]
pub(super) struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Creates a CA and a certificate with `openssl`.
    pub(super) fn create(folder: &Path) -> Self {
        fs::write(
            folder.join("names"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
        )
        .expect("the names are written");
        let openssl = |arguments: &str| {
            let status = Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(folder)
                .stderr(Stdio::null())
                .status();
            let status = status.expect("openssl runs; install it with: apt-get install openssl");
            assert!(status.success(), "openssl {arguments}: {status}");
        };
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca",
        );
        openssl(
            "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost",
        );
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names \
             -out server.crt -days 2",
        );
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Returns the file of the CA's certificate.
    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Returns the configuration of a listener that accepts TLS only.
    pub(super) fn config(&self, port: u16) -> String {
        let file = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\n\
             tls-cert-file {}\ntls-key-file {}\ntls-cluster yes\ntls-replication yes",
            file("ca.crt"),
            file("server.crt"),
            file("server.key"),
        )
    }
}
