//! Where secrets are planted: a table of objects and logs.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// A text that enters an archive.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Object(Value),
    Log(String),
}

/// A planted secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) plant: fn(&str) -> Document,
    /// The secret is compressed, so that it cannot be seen in the text.
    pub(crate) packed: bool,
}

const S: &str = "Zq8wL2mPx7Rt";

fn place(name: &'static str, secret: &'static str, plant: fn(&str) -> Document) -> Place {
    Place {
        name,
        secret,
        plant,
        packed: false,
    }
}

fn packed(name: &'static str, secret: &'static str, plant: fn(&str) -> Document) -> Place {
    Place {
        packed: true,
        ..place(name, secret, plant)
    }
}

fn pod(container: &Value) -> Document {
    Document::Object(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}),
    )
}

fn env(name: &str, value: &str) -> Document {
    pod(&json!({"name": "c", "env": [{"name": name, "value": value}]}))
}

fn args(command: &[&str], args: &[&str]) -> Document {
    pod(&json!({"name": "c", "command": command, "args": args}))
}

fn map(key: &str, text: &str) -> Document {
    Document::Object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {key: text}}))
}

fn annotation(key: &str, text: &str) -> Document {
    Document::Object(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": {key: text}}}),
    )
}

fn custom(version: &str, kind: &str, spec: &Value) -> Document {
    Document::Object(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}))
}

fn event(message: &str) -> Document {
    Document::Object(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": message}))
}

fn log(text: &str) -> Document {
    Document::Log(format!(
        "I1130 10:00:00.000000       1 main.go:42] starting\n{text}\nI1130 10:00:01.000000       1 main.go:43] ready\n"
    ))
}

fn gzip(text: &str) -> String {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(writer.finish().unwrap())
}

fn key(body: &str) -> String {
    format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
}

fn deployment(secret: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "DB_PASSWORD", "value": secret}]}]}}}})
}

/// The 71 secrets of the review.
pub(crate) fn reviewed() -> Vec<Place> {
    [environment(), arguments(), configuration(), resources()].concat()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn environment() -> Vec<Place> {
    vec![
        place("env DB_PASSWORD", S, |s| env("DB_PASSWORD", s)),
        place("env URL of postgres", S, |s| {
            env("DATABASE_URL", &format!("postgres://shop:{s}@db:5432/shop"))
        }),
        place("env URL of redis", S, |s| {
            env("REDIS_URL", &format!("redis://:{s}@cache:6379/0"))
        }),
        place("env Azure AccountKey", "Zq8wL2mPx7RtYv3nKc5sBd9f==", |s| {
            env(
                "STORAGE",
                &format!(
                    "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={s};EndpointSuffix=core.windows.net"
                ),
            )
        }),
        place("annotation last-applied", S, |s| {
            annotation(
                "kubectl.kubernetes.io/last-applied-configuration",
                &deployment(s).to_string(),
            )
        }),
        place("map PEM", "MIIEpAIBAAKCAQEAzq8wL2mPx7RtYv3n", |s| {
            map("server.pem", &key(s))
        }),
        place("map application.properties", S, |s| {
            map(
                "application.properties",
                &format!("spring.datasource.username=shop\nspring.datasource.password={s}\n"),
            )
        }),
        place("map kubeconfig token", S, |s| {
            map(
                "config",
                &format!("apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user:\n    token: {s}\n"),
            )
        }),
        place(
            "map kubeconfig client-key-data",
            "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFcEFJQkFB",
            |s| {
                map(
                    "config",
                    &format!("apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user:\n    client-key-data: {s}\n"),
                )
            },
        ),
        place("map .npmrc", S, |s| {
            map(
                ".npmrc",
                &format!("registry=https://npm.example.com/\n//npm.example.com/:_authToken={s}\n"),
            )
        }),
        place("map pip.conf", S, |s| {
            map(
                "pip.conf",
                &format!("[global]\nindex-url = https://ci:{s}@pypi.example.com/simple\n"),
            )
        }),
        place("map docker config", "cm9ib3Q6WnE4d0wybVB4N1J0", |s| {
            map(
                "config.json",
                &format!(r#"{{"auths":{{"r.example.com":{{"auth":"{s}"}}}}}}"#),
            )
        }),
        place("map key named secret", S, |s| map("shared-secret", s)),
        place("release values of Flux", S, |s| {
            custom(
                "helm.toolkit.fluxcd.io/v2",
                "HelmRelease",
                &json!({"values": {"auth": {"password": s}}}),
            )
        }),
        place("annotation vault.token", S, |s| {
            annotation("example.com/vault.token", s)
        }),
        place("env plural DB_PASSWORDS", S, |s| env("DB_PASSWORDS", s)),
        place("env plural API_TOKENS", S, |s| env("API_TOKENS", s)),
        place("env PASS", S, |s| env("PASS", s)),
        place("env NEW_RELIC_LICENSE_KEY", S, |s| env("NEW_RELIC_LICENSE_KEY", s)),
        place("env DD_APP_KEY", S, |s| env("DD_APP_KEY", s)),
        place("env STRIPE_KEY", "sk_live_Zq8wL2mPx7RtYv3nKc5s", |s| {
            env("STRIPE_KEY", s)
        }),
        place("env sk-proj", "sk-proj-Zq8wL2mPx7RtYv3nKc5sBd9f", |s| env("MODEL", s)),
        place("env JWT_KEY", S, |s| env("JWT_KEY", s)),
        place("env SMTP_AUTH", S, |s| env("SMTP_AUTH", s)),
        place("env hvs", "hvs.CAESIZq8wL2mPx7RtYv3nKc5sBd9f", |s| env("V", s)),
        place("env Slack webhook", "T0AB1CD2E/B0AB1CD2E/Zq8wL2mPx7RtYv3nKc5s", |s| {
            env("NOTIFY", &format!("https://hooks.slack.com/services/{s}"))
        }),
        place("env SAS sig", "Zq8wL2mPx7RtYv3nKc5sBd9f%3D", |s| {
            env(
                "BLOB",
                &format!("https://shop.blob.core.windows.net/c?sv=2024-01-01&sp=r&sig={s}"),
            )
        }),
        place("env JDBC of Oracle", S, |s| {
            env("JDBC", &format!("jdbc:oracle:thin:scott/{s}@db:1521:x"))
        }),
        place("env URL password with @", "Zq8w@L2mPx7Rt", |s| {
            env("DSN", &format!("postgres://shop:{s}@db/shop"))
        }),
        place("env URL password with slash", "Zq8w/L2mPx7Rt", |s| {
            env("DSN", &format!("postgres://shop:{s}@db/shop"))
        }),
    ]
}

fn arguments() -> Vec<Place> {
    vec![
        place("args --requirepass", S, |s| {
            args(&["redis-server"], &["--requirepass", s])
        }),
        place("args mysql -p", S, |s| {
            args(&["mysql"], &["-uroot", &format!("-p{s}"), "-e", "select 1"])
        }),
        place("args curl -u", S, |s| {
            args(
                &["sh", "-c"],
                &[&format!("curl -fsS -u admin:{s} http://localhost/health")],
            )
        }),
        place("args redis-cli -a", S, |s| {
            pod(&json!({"name": "c", "livenessProbe": {"exec": {"command": ["redis-cli", "-a", s, "ping"]}}}))
        }),
        place("probe path token", S, |s| {
            pod(&json!({"name": "c", "livenessProbe": {"httpGet": {"path": format!("/health?token={s}"), "port": 80}}}))
        }),
        place("annotation of kapp", S, |s| {
            annotation("kapp.k14s.io/original", &deployment(s).to_string())
        }),
        packed("annotation of rancher", S, |s| {
            annotation("objectset.rio.cattle.io/applied", &gzip(&deployment(s).to_string()))
        }),
        place("annotation nginx Basic", "YWRtaW46WnE4d0wybVB4N1J0", |s| {
            annotation(
                "nginx.ingress.kubernetes.io/configuration-snippet",
                &format!("proxy_set_header Authorization \"Basic {s}\";"),
            )
        }),
    ]
}

fn configuration() -> Vec<Place> {
    vec![
        place("map pass", S, |s| {
            map("app.yaml", &format!("db:\n  user: shop\n  pass: {s}\n"))
        }),
        place("map pwd", S, |s| {
            map("app.yaml", &format!("db:\n  user: shop\n  pwd: {s}\n"))
        }),
        place("map bindPW", S, |s| {
            map(
                "dex.yaml",
                &format!("connectors:\n- type: ldap\n  config:\n    bindPW: {s}\n"),
            )
        }),
        place("map XML element", S, |s| {
            map(
                "server.xml",
                &format!("<server><username>shop</username><password>{s}</password></server>"),
            )
        }),
        place("map XML add", S, |s| {
            map(
                "web.config",
                &format!("<appSettings><add key=\"DbPassword\" value=\"{s}\"/></appSettings>"),
            )
        }),
        place("map redis requirepass", S, |s| {
            map("redis.conf", &format!("port 6379\nrequirepass {s}\nappendonly yes\n"))
        }),
        place("map .pgpass", S, |s| {
            map(".pgpass", &format!("db.example.com:5432:shop:shop:{s}\n"))
        }),
        place("map .netrc", S, |s| {
            map(".netrc", &format!("machine git.example.com login ci password {s}\n"))
        }),
        place("map alertmanager service_key", S, |s| {
            map(
                "alertmanager.yml",
                &format!("receivers:\n- name: pager\n  pagerduty_configs:\n  - service_key: {s}\n"),
            )
        }),
        place(
            "map alertmanager api_url",
            "T0AB1CD2E/B0AB1CD2E/Zq8wL2mPx7RtYv3nKc5s",
            |s| {
                map(
                    "alertmanager.yml",
                    &format!(
                        "receivers:\n- name: chat\n  slack_configs:\n  - api_url: https://hooks.slack.com/services/{s}\n"
                    ),
                )
            },
        ),
        place("map nginx Basic", "YWRtaW46WnE4d0wybVB4N1J0", |s| {
            map(
                "default.conf",
                &format!("location / {{\n  proxy_set_header Authorization \"Basic {s}\";\n}}\n"),
            )
        }),
        place("map manifest inside", S, |s| {
            map(
                "job.yaml",
                &format!(
                    "kind: Job\nspec:\n  env:\n  - name: DB_PASSWORD\n    value: {s}\n  - name: MODE\n    value: fast\n"
                ),
            )
        }),
        place(
            "map binary keystore",
            "/u3+7QAAAAIAAAABAAAAAQAGc2hvcFpxOHdMMm1QeDdSdA==",
            |s| {
                Document::Object(
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "binaryData": {"keystore.jks": s}}),
                )
            },
        ),
        place("map binary text", S, |s| {
            let text = STANDARD.encode(format!("user=shop\npassword={s}\n"));
            Document::Object(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "binaryData": {"app.conf": text}}),
            )
        }),
        packed("map release of Helm", S, |s| {
            let release = STANDARD.encode(gzip(&json!({"config": {"auth": {"password": s}}}).to_string()));
            Document::Object(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sh.helm.release.v1.shop.v1", "labels": {"owner": "helm"}}, "data": {"release": release}}),
            )
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn resources() -> Vec<Place> {
    vec![
        place("Argo CD parameters", S, |s| {
            custom(
                "argoproj.io/v1alpha1",
                "Application",
                &json!({"source": {"helm": {"parameters": [{"name": "auth.password", "value": s}]}}}),
            )
        }),
        place("Argo CD values", S, |s| {
            custom(
                "argoproj.io/v1alpha1",
                "Application",
                &json!({"source": {"helm": {"values": format!("auth:\n  rootPassword: {s}\n")}}}),
            )
        }),
        place("k3s valuesContent", S, |s| {
            custom(
                "helm.cattle.io/v1",
                "HelmChart",
                &json!({"valuesContent": format!("auth:\n  username: shop\n  password: {s}\n")}),
            )
        }),
        place("custom token", S, |s| {
            custom("example.com/v1", "Runner", &json!({"token": s}))
        }),
        place("custom clientSecret", S, |s| {
            custom(
                "example.com/v1",
                "Login",
                &json!({"oidc": {"clientID": "shop", "clientSecret": s}}),
            )
        }),
        place("custom secretKey", S, |s| {
            custom("example.com/v1", "Store", &json!({"secretKey": s}))
        }),
        place("custom secretAccessKey", S, |s| {
            custom(
                "example.com/v1",
                "Store",
                &json!({"s3": {"accessKeyID": "shop", "secretAccessKey": s}}),
            )
        }),
        place("custom encryptionKey", S, |s| {
            custom("example.com/v1", "Store", &json!({"encryptionKey": s}))
        }),
        place("custom list of pairs", S, |s| {
            custom(
                "example.com/v1",
                "Job",
                &json!({"variables": [{"name": "API_TOKEN", "value": s}]}),
            )
        }),
        place("KubeadmConfig token", "ab12cd.0123456789abcdef", |s| {
            custom(
                "bootstrap.cluster.x-k8s.io/v1beta1",
                "KubeadmConfig",
                &json!({"joinConfiguration": {"discovery": {"bootstrapToken": {"token": s}}}}),
            )
        }),
        place("OAuthClient secret", S, |s| {
            Document::Object(
                json!({"apiVersion": "oauth.openshift.io/v1", "kind": "OAuthClient", "metadata": {"name": "c"}, "secret": s}),
            )
        }),
        place("BuildConfig webhook", S, |s| {
            custom(
                "build.openshift.io/v1",
                "BuildConfig",
                &json!({"triggers": [{"type": "GitHub", "github": {"secret": s}}]}),
            )
        }),
        place(
            "Rancher Token",
            "zq8wl2mpx7rtyv3nkc5sbd9fzq8wl2mpx7rtyv3nkc5sbd9f",
            |s| {
                Document::Object(
                    json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "metadata": {"name": "token-abcde"}, "token": s}),
                )
            },
        ),
        place("event flag", S, |s| {
            event(&format!(
                "Error: failed to start container: exec: \"app --password={s}\": not found"
            ))
        }),
        place("event token", S, |s| {
            event(&format!(
                "Readiness probe failed: GET http://10.0.0.1/health?token={s} 500"
            ))
        }),
        place("volume mountOptions", S, |s| {
            Document::Object(
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"mountOptions": ["username=shop", format!("password={s}")]}}),
            )
        }),
        place("volume attributes", S, |s| {
            Document::Object(
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"csi": {"volumeAttributes": {"adminpass": s}}}}),
            )
        }),
        place("storage class restuserkey", S, |s| {
            Document::Object(
                json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "c"}, "parameters": {"restuser": "admin", "restuserkey": s}}),
            )
        }),
    ]
}

/// Sixty more.
pub(crate) fn others() -> Vec<Place> {
    [logs(), tokens(), nested()].concat()
}

fn logs() -> Vec<Place> {
    vec![
        place("log flag", S, |s| log(&format!("running app --db-password={s} --v=2"))),
        place("log flag after blank", S, |s| {
            log(&format!("running app --db-password {s} --v=2"))
        }),
        place("log list of arguments", S, |s| {
            log(&format!("exec [\"app\", \"--api-token\", \"{s}\", \"-v\"]"))
        }),
        place("log JSON", S, |s| {
            log(&format!(
                r#"{{"level":"info","msg":"login","user":"shop","password":"{s}"}}"#
            ))
        }),
        place("log JSON in JSON", S, |s| {
            log(&json!({"level": "info", "body": json!({"user": "shop", "password": s}).to_string()}).to_string())
        }),
        place("log JSON in JSON in JSON", S, |s| {
            log(&json!({"line": json!({"body": json!({"password": s}).to_string()}).to_string()}).to_string())
        }),
        place("log logfmt", S, |s| {
            log(&format!("level=info msg=login password={s} user=shop"))
        }),
        place("log header", S, |s| log(&format!("> X-Api-Key: {s}"))),
        place("log bearer", "Zq8wL2mPx7RtYv3nKc5sBd9f", |s| {
            log(&format!("> Authorization: Bearer {s}"))
        }),
        place("log basic", "YWRtaW46WnE4d0wybVB4N1J0", |s| {
            log(&format!("> authorization: basic {s}"))
        }),
        place("log URL", S, |s| {
            log(&format!("connecting to amqp://shop:{s}@mq:5672/"))
        }),
        place("log URL of MongoDB", S, |s| {
            log(&format!(
                "connecting to mongodb+srv://shop:{s}@c0.example.com,c1.example.com/shop"
            ))
        }),
        place("log URL in JSON", S, |s| {
            log(&format!(r#"{{"dsn":"postgres:\/\/shop:{s}@db\/shop"}}"#))
        }),
        place("log token in URL", "Zq8wL2mPx7RtYv3nKc5sBd9f", |s| {
            log(&format!("cloning https://{s}@git.example.com/shop.git"))
        }),
        place("log DSN of Go", S, |s| {
            log(&format!("opening shop:{s}@tcp(db:3306)/shop?parseTime=true"))
        }),
        place("log libpq", S, |s| {
            log(&format!("opening host=db user=shop password={s} dbname=shop"))
        }),
        place("log ADO", S, |s| {
            log(&format!("opening Server=db;User Id=shop;Password={s};Encrypt=true"))
        }),
        place("log SQL", S, |s| {
            log(&format!("ALTER ROLE shop WITH LOGIN PASSWORD '{s}'"))
        }),
        place("log SQL of MySQL", S, |s| {
            log(&format!("CREATE USER 'shop'@'%' IDENTIFIED BY '{s}'"))
        }),
        place("log query string", S, |s| {
            log(&format!("GET /login?user=shop&access_token={s}&lang=en 200"))
        }),
        place("log Python", S, |s| {
            log(&format!("Config(user='shop', password='{s}', port=5432)"))
        }),
        place("log Ruby", S, |s| {
            log(&format!("{{:user=>\"shop\", :password=>\"{s}\"}}"))
        }),
        place("log Go struct", S, |s| {
            log(&format!("config: {{User:shop Password:{s} Port:5432}}"))
        }),
        place("log PHP", S, |s| log(&format!("$config['db_password'] = '{s}';"))),
        place("log password on next line", S, |s| {
            log(&format!("database:\n  password:\n    {s}\n  port: 1"))
        }),
        place("log pair on two lines", S, |s| {
            log(&format!(
                "  {{\n    \"name\": \"DB_PASSWORD\",\n    \"value\": \"{s}\"\n  }}"
            ))
        }),
        place("log YAML block", S, |s| {
            log(&format!("db:\n  password: |\n    {s}\n  port: 1"))
        }),
        place("log PEM", "MIIEpAIBAAKCAQEAzq8wL2mPx7RtYv3n", |s| log(&key(s))),
        place("log PEM in JSON", "MIIEpAIBAAKCAQEAzq8wL2mPx7RtYv3n", |s| {
            log(&json!({"key": key(s)}).to_string())
        }),
        place("log torn PEM", "MIIEpAIBAAKCAQEAzq8wL2mPx7RtYv3n", |s| {
            log(&format!("-----BEGIN EC PRIVATE KEY-----\n{s}"))
        }),
    ]
}

fn tokens() -> Vec<Place> {
    vec![
        place("token GitHub", "ghp_Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4e", |s| {
            log(&format!("using {s}"))
        }),
        place(
            "token GitHub fine-grained",
            "github_pat_11ABCDEFG0Zq8wL2mPx7Rt_Yv3nKc5sBd9f",
            |s| log(&format!("using {s}")),
        ),
        place("token GitLab", "glpat-Zq8wL2mPx7RtYv3nKc5s", |s| {
            log(&format!("using {s}"))
        }),
        place("token Slack", "xoxb-123456789012-123456789012-Zq8wL2mPx7Rt", |s| {
            log(&format!("using {s}"))
        }),
        place("token AWS", "AKIAZQ8WL2MPX7RTYV3N", |s| log(&format!("using {s}"))),
        place("token Google", "AIzaSyZq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eR", |s| {
            log(&format!("using {s}"))
        }),
        place(
            "token JWT",
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJzaG9wIiwic3ViIjoiMSJ9.Zq8wL2mPx7RtYv3nKc5s",
            |s| log(&format!("using {s}")),
        ),
        place("token npm", "npm_Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eRt6y", |s| {
            log(&format!("using {s}"))
        }),
        place(
            "token SendGrid",
            "SG.Zq8wL2mPx7RtYv3nKc5sBd.Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eRt6yUi8o",
            |s| log(&format!("using {s}")),
        ),
        place("token Docker Hub", "dckr_pat_Zq8wL2mPx7RtYv3nKc5sBd9fGh1", |s| {
            log(&format!("using {s}"))
        }),
        place("token Grafana", "glsa_Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4e_1a2b3c4d", |s| {
            log(&format!("using {s}"))
        }),
        place(
            "token Telegram",
            "1234567890:AAZq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eR",
            |s| log(&format!("using {s}")),
        ),
        place(
            "token age",
            "AGE-SECRET-KEY-1QZ8WL2MPX7RTYV3NKC5SBD9FGH2JQW4ERT6YU7P9ZQ8WL2MPX7RTYV3NKC5S",
            |s| log(&format!("using {s}")),
        ),
        place(
            "token Azure client secret",
            "aBc8Q~Zq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4eRt",
            |s| log(&format!("using {s}")),
        ),
        place(
            "token password hash",
            "$2y$10$Zq8wL2mPx7RtYv3nKc5sBuZq8wL2mPx7RtYv3nKc5sBd9fGh1jQw4",
            |s| map("users", &format!("admin:{s}\n")),
        ),
    ]
}

fn nested() -> Vec<Place> {
    vec![
        place("map Secret manifest", "WnE4d0wybVB4N1J0", |s| {
            map(
                "manifest.yaml",
                &format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ndata:\n  x: {s}\n"),
            )
        }),
        place("map text in base64", S, |s| {
            map("config", &STANDARD.encode(format!("user=shop\npassword={s}\n")))
        }),
        place("map JSON in base64 in JSON", S, |s| {
            map(
                "config",
                &json!({"inner": STANDARD.encode(json!({"password": s}).to_string())}).to_string(),
            )
        }),
        packed("map gzip in base64", S, |s| {
            map("config", &gzip(&format!("db:\n  password: {s}\n")))
        }),
        place("map number", "8412907755120934", |s| {
            map("values.json", &format!("{{\"auth\":{{\"password\":{s}}}}}"))
        }),
        place("map list of passwords", S, |s| {
            map("values.yaml", &format!("auth:\n  passwords:\n  - {s}\n"))
        }),
        place("map flow YAML", S, |s| {
            map("values.yaml", &format!("auth: {{user: shop, password: {s}}}\n"))
        }),
        place("map INI", S, |s| {
            map("app.ini", &format!("[smtp]\nuser = shop\npasswd = {s}\n"))
        }),
        place("map TOML", S, |s| {
            map("app.toml", &format!("[auth]\napi_key = \"{s}\"\n"))
        }),
        place("map Dockerfile", S, |s| {
            map("Dockerfile", &format!("FROM a\nENV DB_PASSWORD={s}\n"))
        }),
        place("map shell", S, |s| {
            map("run.sh", &format!("#!/bin/sh\nexport API_TOKEN='{s}'\nexec app\n"))
        }),
        place("map nested value", S, |s| {
            custom("example.com/v1", "Db", &json!({"password": {"value": s}}))
        }),
        place("condition message", S, |s| {
            Document::Object(
                json!({"apiVersion": "example.com/v1", "kind": "Db", "metadata": {"name": "x"}, "status": {"conditions": [{"type": "Ready", "message": format!("login failed: password={s}")}]}}),
            )
        }),
        place("args sshpass", S, |s| {
            args(&["sh", "-c"], &[&format!("sshpass -p {s} ssh host uptime")])
        }),
        place("args flag with comma", "Zq8w,L2mPx7Rt", |s| {
            args(&["app"], &[&format!("--password={s}")])
        }),
    ]
}
