//! Connection to an API server from a kubeconfig.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::Value;

/// Time limit for a response: one request may delete all pods of a namespace.
const RESPONSE_LIMIT: Duration = Duration::from_mins(5);

/// An HTTP client and the server's URL.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Access {
    pub(super) server: String,
    pub(super) client: reqwest::Client,
}

impl Access {
    /// Reads the current context. Credentials must be inline, as in the files of the fake API and of `cargo xtask cluster`.
    pub(in crate::bench) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let config: Value = sono_types::yaml::first_document(&text)?;
        let named = |list: &str, name: &Value, field: &str| {
            let entries = config[list].as_array().into_iter().flatten();
            let entry = entries.into_iter().find(|entry| entry["name"] == *name);
            let entry = entry.with_context(|| format!("{}: {list} has no {name}", path.display()))?;
            anyhow::Ok(entry[field].clone())
        };
        let context = named("contexts", &config["current-context"], "context")?;
        let cluster = named("clusters", &context["cluster"], "cluster")?;
        let user = named("users", &context["user"], "user")?;
        let server = cluster["server"].as_str().context("the cluster has no server")?;
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .timeout(RESPONSE_LIMIT);
        if server.starts_with("https:") {
            let pem = |entry: &Value, key: &str| {
                let data = entry[key]
                    .as_str()
                    .with_context(|| format!("{} has no {key}", path.display()))?;
                let decoded = base64::engine::general_purpose::STANDARD.decode(data)?;
                anyhow::Ok(String::from_utf8(decoded)?)
            };
            builder = builder.tls_backend_preconfigured(sono_tls::client_config(
                &pem(&cluster, "certificate-authority-data")?,
                &pem(&user, "client-certificate-data")?,
                &pem(&user, "client-key-data")?,
            )?);
        }
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            client: builder.build()?,
        })
    }

    /// Sends a body with this content type; returns status and response, also on failures.
    pub(in crate::bench) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        let request = self.client.request(method, format!("{}{path}", self.server));
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", kind).body(body.to_string()),
        };
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    pub(in crate::bench) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.send(reqwest::Method::GET, path, "", &Value::Null).await?;
        ensure!(status == 200, "{path}: {status}: {}", answer["message"]);
        Ok(answer)
    }
}
