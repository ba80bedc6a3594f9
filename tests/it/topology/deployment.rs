//! What `docker-compose.yml` says, so that each of our services can be started as a local process with the command, the
//! environment and the secrets that stand there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
pub(crate) struct Deployment {
    services: BTreeMap<String, Service>,
    secrets: BTreeMap<String, Secret>,
}

/// A container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    secrets: Vec<String>,
    volumes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Secret {
    file: PathBuf,
}

/// Where the tests have what the file has in containers of their own.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// A connection string.
    pub(crate) event_store: String,
    /// Host, port and name of the database.
    pub(crate) database: String,
    pub(crate) kafka: String,
    /// What `deploy/secrets.sh` made, in place of `./secrets`.
    pub(crate) secrets: PathBuf,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Deployment {
    /// Reads it.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    /// Our own services, by their names.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.services.iter().filter(|(_, service)| service.image == "integrations")
    }

    /// A service.
    pub(crate) fn service(&self, name: &str) -> &Service {
        &self.services[name]
    }

    /// The environment of one of our services, as it is where the tests run.
    pub(crate) fn environment(&self, service: &Service, places: &Places) -> BTreeMap<String, String> {
        let here = self.here(service, places);
        let local = |value: &String| here.iter().fold(value.clone(), |value, (there, here)| value.replace(there, here));
        service.environment.iter().map(|(name, value)| (name.clone(), local(value))).collect()
    }

    /// What stands in the file, and what takes its place here. Nothing that is not mounted is found.
    fn here(&self, service: &Service, places: &Places) -> Vec<(String, String)> {
        let secrets = |path: &Path| {
            let below = path.strip_prefix("./secrets").or_else(|_| path.strip_prefix("secrets")).unwrap();
            places.secrets.join(below).display().to_string()
        };
        let mounted = service.volumes.iter().filter_map(|volume| {
            let (there, inside) = volume.split_once(':')?;
            let inside = inside.trim_end_matches(":ro");
            there.starts_with("./secrets").then(|| (format!("{inside}/"), format!("{}/", secrets(Path::new(there)))))
        });
        let named =
            service.secrets.iter().map(|name| (format!("/run/secrets/{name}"), secrets(&self.secrets[name].file)));
        let fixed = [
            ("esdb://kurrentdb:2113?tls=false", places.event_store.clone()),
            ("postgres:5432/integrations", places.database.clone()),
            ("kafka:9092", places.kafka.clone()),
            ("0.0.0.0:8080", "127.0.0.1:0".to_owned()),
            ("0.0.0.0:9090", "127.0.0.1:0".to_owned()),
            // The network of the proxy.
            ("172.30.80.0/24", "127.0.0.1/32".to_owned()),
        ];
        mounted.chain(named).chain(fixed.map(|(there, here)| (there.to_owned(), here))).collect()
    }
}

/// Makes the secrets as the file's first lines say.
pub(crate) fn make_secrets(directory: &Path) {
    let status = Command::new(root().join("deploy/secrets.sh")).arg(directory).status();
    assert!(status.unwrap().success());
}
