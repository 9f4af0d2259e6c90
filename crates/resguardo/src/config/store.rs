//! How a place that keeps a vault is reached: `[vault]`'s settings beside its url, and those of a copy.
//!
//! What other programs read as well (`AWS_*`, `GOOGLE_*`, `AZURE_*`) only fills what the file leaves open,
//! and only where the url is of that service.

use std::path::PathBuf;

use resguardo_store::s3::{MachineRole, S3Encryption};

use super::file::Leaf;
use super::interpolate::SecretRef;
use super::problem::Problem;
use super::resolver::Resolver;

/// What a file says of a place beside its url.
#[derive(Clone, Copy, Default)]
pub struct StoreFile<'a> {
    /// URL of a server that is not the service's own.
    pub endpoint: Option<&'a Leaf<String>>,
    /// S3: region.
    pub region: Option<&'a Leaf<String>>,
    /// S3: bucket in the path.
    pub path_style: Option<&'a Leaf<bool>>,
    /// S3: access key.
    pub access_key: Option<&'a Leaf<String>>,
    /// S3: secret key.
    pub secret_key: Option<&'a Leaf<String>>,
    /// S3: profile of the shared files.
    pub profile: Option<&'a Leaf<String>>,
    /// S3: `s3` or `kms:KEYID`.
    pub sse: Option<&'a Leaf<String>>,
    /// Storage class or access tier.
    pub storage_class: Option<&'a Leaf<String>>,
    /// Google: file of credentials.
    pub credentials_file: Option<&'a Leaf<String>>,
    /// Azure: storage account.
    pub account: Option<&'a Leaf<String>>,
    /// Azure: the account's key.
    pub account_key: Option<&'a Leaf<String>>,
    /// Azure: shared access signature.
    pub sas_token: Option<&'a Leaf<String>>,
}

/// How a place is reached.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// URL of a server that is not the service's own.
    pub endpoint: Option<String>,
    /// S3: region.
    pub region: Option<String>,
    /// S3: bucket in the path.
    pub path_style: Option<bool>,
    /// S3: access key.
    pub access_key: Option<SecretRef>,
    /// S3: secret key.
    pub secret_key: Option<SecretRef>,
    /// S3: token of a temporary key.
    pub session_token: Option<SecretRef>,
    /// S3: where keys are looked for if none is set.
    pub profile: AwsProfile,
    /// S3: where the machine's role is asked for.
    pub role: MachineRole,
    /// S3: how the service encrypts.
    pub sse: Option<S3Encryption>,
    /// Storage class or access tier of packs.
    pub storage_class: Option<String>,
    /// Google: an access token.
    pub google_token: Option<SecretRef>,
    /// Google: file of credentials; an absolute path.
    pub credentials_file: Option<PathBuf>,
    /// Azure: storage account.
    pub account: Option<String>,
    /// Azure: the account's key.
    pub account_key: Option<SecretRef>,
    /// Azure: shared access signature.
    pub sas_token: Option<SecretRef>,
    /// Azure: directory, application, and its secret or the file of its token.
    pub azure_identity: AzureIdentity,
}

/// Where a user's own keys for S3 lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsProfile {
    /// The profile that is wanted; `None`: `default`, if there is one.
    pub name: Option<String>,
    /// `~/.aws/credentials`.
    pub credentials: Option<PathBuf>,
    /// `~/.aws/config`.
    pub config: Option<PathBuf>,
}

/// An identity of Azure's directory.
#[derive(Clone, Debug, Default)]
pub struct AzureIdentity {
    /// The directory.
    pub tenant: Option<String>,
    /// The application.
    pub client: Option<String>,
    /// Its secret.
    pub secret: Option<SecretRef>,
    /// The file of its token.
    pub token_file: Option<String>,
}

impl Resolver<'_> {
    /// Reads what `file` says below `key`, like `vault`, of the place at `url`.
    pub(super) fn store_settings(
        &mut self,
        key: &str,
        url: Option<&str>,
        file: &StoreFile<'_>,
    ) -> StoreSettings {
        let named = |name: &str| format!("{key}.{name}");
        let is = |scheme: &str| url.is_none_or(|url| url.starts_with(scheme));
        let mut settings = StoreSettings {
            path_style: self.optional(&named("path_style"), file.path_style),
            sse: self.encryption(&named("sse"), file.sse),
            storage_class: self.storage_class(&named("storage_class"), file.storage_class),
            ..StoreSettings::default()
        };
        let aws: &dyn Fn(&'static [&'static str]) -> &'static [&'static str] =
            &|names| if is("s3://") { names } else { &[] };
        settings.endpoint = self.text_or(
            &named("endpoint"),
            file.endpoint,
            aws(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
        );
        settings.region = self.text_or(
            &named("region"),
            file.region,
            aws(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
        );
        // A profile that the file names is meant, whatever key the environment has.
        let keys = |names| {
            if file.profile.is_some() {
                &[]
            } else {
                aws(names)
            }
        };
        settings.access_key = self.secret_or(
            &named("access_key"),
            file.access_key,
            keys(&["AWS_ACCESS_KEY_ID"]),
        );
        settings.secret_key = self.secret_or(
            &named("secret_key"),
            file.secret_key,
            keys(&["AWS_SECRET_ACCESS_KEY"]),
        );
        settings.session_token =
            self.secret_or(&named("session_token"), None, keys(&["AWS_SESSION_TOKEN"]));
        let profile = self.text_or(&named("profile"), file.profile, aws(&["AWS_PROFILE"]));
        if is("s3://") {
            settings.profile = self.aws_files(profile);
            settings.role = self.machine_role();
        }
        if is("gs://") {
            self.google(key, file, &mut settings);
        }
        if is("az://") || is("azure://") {
            self.azure(key, file, &mut settings);
        }
        settings
    }

    fn google(&mut self, key: &str, file: &StoreFile<'_>, settings: &mut StoreSettings) {
        let path = self.text_or(
            &format!("{key}.credentials_file"),
            file.credentials_file,
            &["GOOGLE_APPLICATION_CREDENTIALS"],
        );
        settings.credentials_file = path.map(|path| self.folder.join(path));
        settings.google_token = self.secret_or(
            &format!("{key}.google_token"),
            None,
            &["GOOGLE_OAUTH_ACCESS_TOKEN"],
        );
    }

    fn azure(&mut self, key: &str, file: &StoreFile<'_>, settings: &mut StoreSettings) {
        let named = |name: &str| format!("{key}.{name}");
        settings.account = self.text_or(
            &named("account"),
            file.account,
            &["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],
        );
        settings.account_key = self.secret_or(
            &named("account_key"),
            file.account_key,
            &["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"],
        );
        settings.sas_token = self.secret_or(
            &named("sas_token"),
            file.sas_token,
            &["AZURE_STORAGE_SAS_TOKEN"],
        );
        let variable = |name| self.ambient.variable(name).map(ToOwned::to_owned);
        settings.azure_identity = AzureIdentity {
            tenant: variable("AZURE_TENANT_ID"),
            client: variable("AZURE_CLIENT_ID"),
            secret: variable("AZURE_CLIENT_SECRET").map(|text| SecretRef::Value(text.into())),
            token_file: variable("AZURE_FEDERATED_TOKEN_FILE"),
        };
    }

    fn aws_files(&self, name: Option<String>) -> AwsProfile {
        let file = |variable, usual: &str| match self.ambient.variable(variable) {
            Some(path) => Some(PathBuf::from(path)),
            None => {
                let home = self.ambient.variable("HOME")?;
                Some(PathBuf::from(home).join(usual))
            }
        };
        AwsProfile {
            name,
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
            config: file("AWS_CONFIG_FILE", ".aws/config"),
        }
    }

    fn machine_role(&self) -> MachineRole {
        let variable = |name| self.ambient.variable(name).map(ToOwned::to_owned);
        MachineRole {
            web_identity: variable("AWS_WEB_IDENTITY_TOKEN_FILE").zip(variable("AWS_ROLE_ARN")),
            container_path: variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            pod: variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")
                .zip(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")),
            metadata_endpoint: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        }
    }

    fn encryption(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Option<S3Encryption> {
        let leaf = leaf?;
        let value = self.text_setting(key, Some(leaf))?.value;
        match value.as_str() {
            "s3" => Some(S3Encryption::Service),
            other => match other.strip_prefix("kms:") {
                Some(id) if !id.is_empty() => Some(S3Encryption::Kms(id.to_owned())),
                _ => {
                    let message = format!("{value:?} is no way of the service to encrypt");
                    self.problems.push(
                        Problem::at(leaf.span(), message, "\"s3\" or \"kms:KEY-ID\"").with_hint(
                            "backups are sealed before they leave this machine in any case",
                        ),
                    );
                    None
                }
            },
        }
    }

    fn storage_class(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Option<String> {
        const ASLEEP: [&str; 4] = ["GLACIER", "DEEP_ARCHIVE", "ARCHIVE", "COLD_ARCHIVE"];
        let leaf = leaf?;
        let class = self.text_setting(key, Some(leaf))?.value;
        let is_asleep = ASLEEP
            .iter()
            .any(|asleep| class.eq_ignore_ascii_case(asleep));
        // Google's ARCHIVE answers at once; Azure's does not.
        if is_asleep && class != "ARCHIVE" {
            let message =
                format!("objects of the class {class} cannot be read when they are needed");
            self.problems.push(
                Problem::at(leaf.span(), message, "a class that answers at once").with_hint(
                    "S3: STANDARD_IA or GLACIER_IR; Google: NEARLINE, COLDLINE or ARCHIVE; Azure: Cool or Cold",
                ),
            );
        }
        Some(class)
    }
}
