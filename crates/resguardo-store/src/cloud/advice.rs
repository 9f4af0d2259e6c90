//! What to do about an error of a store, where its own words tell.

use super::answer::{Nobody, Refusal, RefusedToken};
use crate::port::StoreError;

/// The next thing to do, as a sentence without a full stop; `None` where the error says no more than that
/// something went wrong.
#[must_use]
pub fn advice(error: &StoreError) -> Option<String> {
    let refusal = match error {
        StoreError::NoSuchPlace { place, .. }
            if place.starts_with("bucket ") || place.starts_with("container ") =>
        {
            return Some(format!(
                "make the {place} with the service's own tools, or put the vault's url right"
            ));
        }
        StoreError::NoCredentials { source, .. } => {
            let nobody = source.downcast_ref::<Nobody>()?;
            return Some(format!(
                "set {}, or give this machine a role",
                variables_of(&nobody.scheme)
            ));
        }
        StoreError::Denied { source, .. } if source.is::<RefusedToken>() => {
            let refused = source.downcast_ref::<RefusedToken>()?;
            return Some(format!(
                "the service gives no token for these credentials: put {} right",
                identity_of(&refused.scheme)
            ));
        }
        StoreError::Unreachable { .. } => {
            return Some(
                "see whether the network is up and the vault's url or endpoint is right, then run it again"
                    .to_owned(),
            );
        }
        StoreError::Denied { source, .. }
        | StoreError::Other { source, .. }
        | StoreError::Interrupted { source, .. } => source.downcast_ref::<Refusal>()?,
        StoreError::Full { .. } => {
            return Some("make space in the store, or raise its quota".to_owned());
        }
        _ => return None,
    };
    if let Some(region) = &refusal.region {
        return Some(if region.is_empty() {
            "set region of the vault to the bucket's".to_owned()
        } else {
            format!("the bucket lies in {region}: set region = \"{region}\" below [vault]")
        });
    }
    let advice = match refusal.code.as_str() {
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "the store's clock and this machine's differ too much: set this machine's clock, best with NTP"
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            "the credentials have expired: get new ones and run the same command again; what was stored is found again"
        }
        "InvalidAccessKeyId" | "InvalidToken" => {
            "the service does not know this access key: put access_key or AWS_ACCESS_KEY_ID right"
        }
        "SignatureDoesNotMatch" => {
            "the secret does not fit the access key: put secret_key or AWS_SECRET_ACCESS_KEY right"
        }
        "AuthenticationFailed" | "AuthorizationFailure" => {
            "put the account's name and its key or token right, and this machine's clock"
        }
        _ if matches!(error, StoreError::Denied { .. }) => {
            "these credentials may not do that here: docs/guide/stores.md lists the permissions that are needed"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Where a service's credentials are set.
fn variables_of(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "credentials_file or GOOGLE_APPLICATION_CREDENTIALS",
        "az" => "account_key or AZURE_STORAGE_KEY, or sas_token or AZURE_STORAGE_SAS_TOKEN",
        _ => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile",
    }
}

/// Where an identity that tokens are made for is set.
fn identity_of(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "credentials_file or GOOGLE_APPLICATION_CREDENTIALS",
        "az" => "AZURE_TENANT_ID, AZURE_CLIENT_ID and its secret or token",
        _ => "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_variables_of_the_service_are_named() {
        for (scheme, own) in [("s3", "AWS_"), ("gs", "GOOGLE_"), ("az", "AZURE_")] {
            for words in [variables_of(scheme), identity_of(scheme)] {
                let named = ["AWS_", "GOOGLE_", "AZURE_"];
                let named = named.into_iter().filter(|one| words.contains(one));
                assert_eq!(named.collect::<Vec<_>>(), [own], "{words}");
            }
        }
    }

    fn refused(code: &str, region: Option<&str>) -> StoreError {
        StoreError::Denied {
            operation: "put",
            key: "a".to_owned(),
            source: Refusal {
                status: Some(403),
                code: code.to_owned(),
                message: String::new(),
                region: region.map(ToOwned::to_owned),
            }
            .into(),
        }
    }

    #[test]
    fn what_the_service_says_leads_to_the_next_step() {
        for (code, region, word) in [
            ("RequestTimeTooSkewed", None, "NTP"),
            ("ExpiredToken", None, "get new ones"),
            ("SignatureDoesNotMatch", None, "AWS_SECRET_ACCESS_KEY"),
            (
                "AuthorizationHeaderMalformed",
                Some("eu-west-1"),
                "region = \"eu-west-1\"",
            ),
            ("AccessDenied", None, "permissions"),
        ] {
            let advice = advice(&refused(code, region)).unwrap();
            assert!(advice.contains(word), "{code}: {advice}");
        }
        let gone = StoreError::NoSuchPlace {
            place: "bucket acme".to_owned(),
            source: "no".into(),
        };
        assert!(advice(&gone).unwrap().contains("make the bucket acme"));
        let other = StoreError::NotFound {
            key: "a".to_owned(),
        };
        assert_eq!(advice(&other), None);
    }
}
