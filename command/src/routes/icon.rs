//! The icon's write routes: the raw image, or the first file of a form.

use axum::{extract::State, response::Response};
use bytes::Bytes;
use events::{event::IconType, limits, principal::Level};
use futures_util::stream;
use http::header;
use web::{
    body::refuse_codings,
    incoming::Incoming,
    problem::{Fault, Kind, Problem},
    representation::IntegrationDetail,
};

use super::{Commands, admit, detail, live, no_content, parameters};
use crate::{
    decide::{Command, Need},
    handler::Intent,
    icon_content::{self, Refused},
};

/// Upload an icon
///
/// Needs level 2. The body is the image itself, or a form whose first file it is: PNG, JPEG, GIF, WebP or SVG, told by
/// its content.
#[utoipa::path(
    put, path = "/api/integrations/{id}/icon", tag = "Icons",
    params(("id" = String, Path, description = "Id or slug")),
    request_body(content(("multipart/form-data"), ("image/png"), ("image/jpeg"), ("image/gif"), ("image/webp"), ("image/svg+xml")), description = "The image, or a form with it"),
    responses((status = 200, description = "The integration", body = IntegrationDetail<'static>, content_type = "application/hal+json"))
)]
pub(super) async fn set(State(handler): Commands, mut incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let upload = read_upload(&mut incoming).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let (media_type, bytes) = match upload {
        Ok(upload) => upload,
        Err(fault) => return Err(handler.refuse(&asking, admitted, &precondition, vec![fault]).await.into()),
    };
    let state = handler.execute(asking, admitted, precondition, Intent::SetIcon { media_type, bytes }).await?;
    Ok(detail(live(&state)?))
}

/// Remove the icon
///
/// Needs level 2.
#[utoipa::path(
    delete, path = "/api/integrations/{id}/icon", tag = "Icons",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn remove(State(handler): Commands, incoming: Incoming) -> Result<Response, Problem> {
    let admitted = admit(&handler, &incoming, Need::Level(Level::Write)).await?;
    let (asking, precondition) = parameters(&incoming)?;
    let state = handler.execute(asking, admitted, precondition, Intent::Plain(Command::RemoveIcon)).await?;
    Ok(no_content(live(&state)?))
}

/// An icon, or the rule of its content that is broken.
type Upload = Result<(IconType, Bytes), Fault>;

async fn read_upload(incoming: &mut Incoming) -> Result<Upload, Problem> {
    let content_type = incoming.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = content_type.filter(|text| text.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"));
    let boundary = form.map(multer::parse_boundary);
    let overhead = if boundary.is_some() { limits::MULTIPART_OVERHEAD_BYTES_MAX } else { 0 };
    let body = incoming.read_body(limits::ICON_BYTES_MAX + overhead).await?;
    refuse_codings(&incoming.headers)?;
    let file = match boundary {
        None => Some(body),
        Some(boundary) => first_file(body, boundary.map_err(|error| malformed(&error))?).await?,
    };
    let Some(file) = file else {
        return Ok(Err(Fault::new("", "must have a part that is a file")));
    };
    if file.len() > limits::ICON_BYTES_MAX {
        let detail = format!("An icon must be at most {} bytes.", limits::ICON_BYTES_MAX);
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    match icon_content::recognise(&file) {
        Ok(media_type) => Ok(Ok((media_type, file))),
        Err(Refused::UnknownType) => {
            let detail = "An icon must be PNG, JPEG, GIF, WebP or SVG by its content.";
            Err(Problem::new(Kind::UnsupportedMediaType, detail))
        }
        Err(Refused::UnsafeSvg(rule)) => Ok(Err(Fault::new("", rule))),
    }
}

async fn first_file(body: Bytes, boundary: String) -> Result<Option<Bytes>, Problem> {
    let whole = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut form = multer::Multipart::new(whole, boundary);
    while let Some(field) = form.next_field().await.map_err(|error| malformed(&error))? {
        if field.file_name().is_some() {
            return field.bytes().await.map(Some).map_err(|error| malformed(&error));
        }
    }
    Ok(None)
}

fn malformed(error: &multer::Error) -> Problem {
    Problem::new(Kind::MalformedBody, format!("The form is malformed: {error}."))
}
