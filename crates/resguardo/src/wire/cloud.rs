//! Where a bucket or container is and who asks it, from the settings. What the URL says wins over the
//! settings beside it.

use std::path::Path;

use resguardo_model::CancelToken;
use resguardo_store::azure::{AzureCredentials, AzureOptions};
use resguardo_store::gcs::{GcsCredentials, GcsOptions};
use resguardo_store::location::{AzurePlace, GcsPlace, S3Place};
use resguardo_store::s3::{S3Credentials, S3Options};
use secrecy::{ExposeSecret as _, SecretString};

use super::credentials;
use super::profile::{self, Profile};
use crate::config::interpolate::SecretRef;
use crate::config::store::StoreSettings;
use crate::error::Failure;
use crate::secret;

/// Keys of the settings or the environment, else of the user's profile, else the machine's role.
pub(super) fn s3(
    place: S3Place,
    settings: &StoreSettings,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<S3Options, Failure> {
    let read = |reference: &SecretRef| secret::read(reference, folder, cancel);
    let mut from_profile = Profile::default();
    let credentials = match (&settings.access_key, &settings.secret_key) {
        (Some(access_key), Some(secret_key)) => S3Credentials::Keys {
            access_key_id: read(access_key)?.expose_secret().to_owned(),
            secret_access_key: read(secret_key)?,
            session_token: settings.session_token.as_ref().map(read).transpose()?,
        },
        (None, None) if settings.role.web_identity.is_some() && settings.profile.name.is_none() => {
            S3Credentials::Machine(settings.role.clone())
        }
        (None, None) => {
            from_profile = profile::read(&settings.profile)?;
            match from_profile.keys.take() {
                Some((access_key_id, secret_access_key)) => S3Credentials::Keys {
                    access_key_id,
                    secret_access_key,
                    session_token: from_profile.token.take(),
                },
                None => S3Credentials::Machine(settings.role.clone()),
            }
        }
        _ => {
            return Err(Failure::user(
                "an S3 key has two halves, and only one of access_key and secret_key is set",
            )
            .hint("set both, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
    };
    let endpoint = place
        .endpoint
        .or_else(|| settings.endpoint.clone())
        .or(from_profile.endpoint);
    let place = S3Place {
        path_style: settings
            .path_style
            .unwrap_or(place.path_style || endpoint.is_some()),
        region: place
            .region
            .or_else(|| settings.region.clone())
            .or(from_profile.region),
        endpoint,
        ..place
    };
    Ok(S3Options {
        encryption: settings.sse.clone(),
        storage_class: settings.storage_class.clone(),
        ..S3Options::new(place, credentials)
    })
}

/// A token of the environment, else a file, else the user's or the machine's own.
pub(super) fn gcs(
    place: GcsPlace,
    settings: &StoreSettings,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<GcsOptions, Failure> {
    let credentials = match (&settings.google_token, &settings.credentials_file) {
        (Some(token), _) => GcsCredentials::Token(secret::read(token, folder, cancel)?),
        (None, Some(path)) => {
            credentials::google_file(path)?;
            GcsCredentials::File(path.clone())
        }
        (None, None) => GcsCredentials::Machine,
    };
    let endpoint = place.endpoint.or_else(|| settings.endpoint.clone());
    let place = GcsPlace { endpoint, ..place };
    Ok(GcsOptions {
        storage_class: settings.storage_class.clone(),
        ..GcsOptions::new(place, credentials)
    })
}

/// A key, else a signature, else an identity of the directory, else the machine's own.
pub(super) fn azure(
    place: AzurePlace,
    settings: &StoreSettings,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<AzureOptions, Failure> {
    let read = |reference: &SecretRef| -> Result<SecretString, Failure> {
        secret::read(reference, folder, cancel)
    };
    let identity = &settings.azure_identity;
    let credentials = match (&settings.account_key, &settings.sas_token) {
        (Some(key), _) => {
            let key = read(key)?;
            credentials::azure_key(key.expose_secret())?;
            AzureCredentials::AccessKey(key)
        }
        (None, Some(token)) => {
            let token = read(token)?;
            credentials::azure_signature(token.expose_secret())?;
            AzureCredentials::SasToken(token)
        }
        (None, None) => match (&identity.tenant, &identity.client) {
            (Some(tenant), Some(client)) if identity.secret.is_some() => {
                let secret = identity.secret.as_ref().expect("it is some");
                AzureCredentials::ClientSecret {
                    tenant_id: tenant.clone(),
                    client_id: client.clone(),
                    secret: read(secret)?,
                }
            }
            (Some(tenant), Some(client)) if identity.token_file.is_some() => {
                AzureCredentials::WorkloadIdentity {
                    tenant_id: tenant.clone(),
                    client_id: client.clone(),
                    token_file: identity.token_file.clone().unwrap_or_default(),
                }
            }
            (_, client) => AzureCredentials::Machine(client.clone()),
        },
    };
    let account = place.account.or_else(|| settings.account.clone());
    if account.is_none() {
        return Err(Failure::user(format!(
            "az://{}: the storage account is not named",
            place.container
        ))
        .hint("set account below [vault], or AZURE_STORAGE_ACCOUNT"));
    }
    let endpoint = place.endpoint.or_else(|| settings.endpoint.clone());
    let place = AzurePlace {
        account,
        endpoint,
        ..place
    };
    Ok(AzureOptions {
        storage_class: settings.storage_class.clone(),
        ..AzureOptions::new(place, credentials)
    })
}
