//! MariaDB: the protocol in which the server speaks first.

use std::ffi::OsString;
use std::fs;
use std::net::IpAddr;
use std::ops::Deref;

use anyhow::Result;

use super::{START, started};
use crate::machine::Machine;
use crate::process::{Output, Process};

/// Small files and few threads: many of these run at once. The rest is the program's own default.
const SMALL: [&str; 7] = [
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=8M",
    "--innodb-data-file-path=ibdata1:4M:autoextend",
    "--innodb-temp-data-file-path=ibtmp1:2M:autoextend",
    "--innodb-flush-log-at-trx-commit=0",
    "--aria-log-file-size=8M",
    "--key-buffer-size=1M",
];

/// A running MariaDB with database `lab` and user `lab`, password `lab`. Dereferences to its [`Process`].
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
}

impl MariaDb {
    /// Runs SQL from `client` with the `mariadb` program; `host` may be a service's address.
    ///
    /// # Errors
    ///
    /// When the client cannot be started or does not end; a failed query is in the output.
    pub fn query(client: &Machine, host: IpAddr, port: u16, sql: &str) -> Result<Output> {
        let (host, port) = (host.to_string(), port.to_string());
        client.exec([
            "mariadb",
            "--no-defaults",
            "--protocol=tcp",
            "--connect-timeout=10",
            "-h",
            &host,
            "-P",
            &port,
            "-ulab",
            "-plab",
            "--batch",
            "--skip-column-names",
            "lab",
            "-e",
            sql,
        ])
    }
}

impl Deref for MariaDb {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Makes a data folder and starts mariadbd on `port`, IPv4 and IPv6.
///
/// # Errors
///
/// When it is not installed, the data folder cannot be made, or it does not listen in time.
pub fn mariadb(pod: &Machine, port: u16) -> Result<MariaDb> {
    let folder = pod.folder().join(format!("mariadb-{port}"));
    let (data, temp) = (folder.join("data"), folder.join("tmp"));
    fs::create_dir_all(&temp)?;
    let option = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        let mut text = OsString::from(format!("--{name}="));
        text.push(value);
        text
    };
    let common = [
        option("datadir", &data),
        option("tmpdir", &temp),
        "--user=root".into(),
    ];
    let small = SMALL.map(OsString::from);
    let install = [
        "mariadb-install-db",
        "--no-defaults",
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
    ];
    let line = install
        .map(OsString::from)
        .into_iter()
        .chain(common.clone())
        .chain(small.clone());
    pod.command(line).timeout(START).output()?.ok()?;
    let init = folder.join("init.sql");
    fs::write(
        &init,
        "CREATE DATABASE lab;\nCREATE USER 'lab'@'%' IDENTIFIED BY 'lab';\nGRANT ALL ON *.* TO 'lab'@'%';\n",
    )?;
    let rest = [
        option("socket", &folder.join("socket")),
        option("pid-file", &folder.join("pid")),
        option("init-file", &init),
        option("port", &port.to_string()),
        "--bind-address=*".into(),
        "--skip-name-resolve".into(),
        "--plugin-dir=/usr/lib/mysql/plugin".into(),
    ];
    let server = ["mariadbd", "--no-defaults"].map(OsString::from);
    let process = pod.spawn(server.into_iter().chain(common).chain(small).chain(rest))?;
    started(pod, &process, port)?;
    // The port opens after the init file has run, but a moment before connections are served.
    process.wait_log("ready for connections", START)?;
    Ok(MariaDb { process })
}
