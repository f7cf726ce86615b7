//! Reading a request's body, bounded in size and time.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, DRAIN_TIME_MAX, DRAINED_BYTES_MAX};

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Too large.
    #[error("the request body is larger than {BODY_BYTES_MAX} bytes; send less")]
    TooLarge,
    /// Too slow.
    #[error("the request body did not come in time; send it again")]
    TooSlow,
    /// It broke off.
    #[error("the request body broke off; send it again")]
    Broken,
}

/// The whole body, at most [`BODY_BYTES_MAX`] bytes.
pub(crate) async fn read(mut body: Body) -> Result<Vec<u8>, BodyError> {
    let bounded = Limited::new(&mut body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIME_MAX, bounded).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(BodyError::TooLarge)
        }
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

/// Reads on for a while and keeps nothing. A connection that is closed on a sender who is still sending is reset, and the answer
/// that says why is lost with it (RFC 9112, section 9.6).
async fn drain(mut body: Body) {
    let mut left = DRAINED_BYTES_MAX;
    let drained = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, axum::body::Bytes::len);
            left = left.saturating_sub(bytes);
            if left == 0 {
                break;
            }
        }
    };
    // Whoever sends longer than this has had the chance to hear the answer.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, drained).await;
}

/// Whether the body says that it is of this media type; parameters other than a UTF-8 charset do not count against it.
pub(crate) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(Ok(value)) = values.next().map(|v| v.to_str()) else {
        return false;
    };
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters
        .split(';')
        .find_map(|p| p.trim().strip_prefix("charset="));
    values.next().is_none()
        && kind.trim().eq_ignore_ascii_case(media_type)
        && charset.is_none_or(|c| c.trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whatever_its_headers_say() {
        let whole = vec![b'x'; BODY_BYTES_MAX];
        assert_eq!(
            read(Body::from(whole.clone())).await.unwrap().len(),
            BODY_BYTES_MAX
        );
        let stream =
            futures_util::stream::iter([Ok::<_, std::io::Error>(whole), Ok(b"x".to_vec())]);
        assert_eq!(
            read(Body::from_stream(stream)).await,
            Err(BodyError::TooLarge)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_is_heard_out_for_a_while_and_no_longer() {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = taken.clone();
        let endless = futures_util::stream::repeat_with(move || {
            counter.fetch_add(1 << 20, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b'x'; 1 << 20])
        });
        assert_eq!(
            read(Body::from_stream(endless)).await,
            Err(BodyError::TooLarge)
        );
        let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
        let most = BODY_BYTES_MAX + DRAINED_BYTES_MAX + (2 << 20);
        assert!((DRAINED_BYTES_MAX..=most).contains(&taken), "{taken}");

        let much =
            futures_util::stream::iter([Ok::<_, std::io::Error>(vec![0; BODY_BYTES_MAX + 1])]);
        let stalls = futures_util::StreamExt::chain(much, futures_util::stream::pending());
        assert_eq!(
            read(Body::from_stream(stalls)).await,
            Err(BodyError::TooLarge)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_stops_is_let_go() {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        assert_eq!(
            read(Body::from_stream(never)).await,
            Err(BodyError::TooSlow)
        );
    }

    #[test]
    fn media_types_are_compared_and_not_guessed() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))])
        };
        assert!(is(&with("application/json"), "application/json"));
        assert!(is(
            &with("Application/JSON; charset=UTF-8"),
            "application/json"
        ));
        for wrong in [
            "text/plain",
            "application/json-patch",
            "application/json; charset=utf-7",
            "",
        ] {
            assert!(!is(&with(wrong), "application/json"), "{wrong}");
        }
        let mut twice = with("application/json");
        twice.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert!(!is(&twice, "application/json"));
        assert!(!is(&HeaderMap::new(), "application/json"));
    }
}
