/*---
kind: cdc
description: Current rows of imaging.imaging_studies.
source: bronze.imaging_studies
key: [study_id]
target_lag: 10 seconds
owner: radiology@hospital.example
tags: [phi, hospital]
columns:
  study_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  ordering_provider_id: {type: "string"}
  modality: {type: "string"}
  body_site: {type: "string"}
  status: {type: "string"}
  report: {type: "string", phi: free_text}
  images: {type: "int"}
  ordered_at: {type: "timestamptz", phi: date}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.study_id             AS study_id,
  after.patient_id           AS patient_id,
  after.ordering_provider_id AS ordering_provider_id,
  after.modality             AS modality,
  after.body_site            AS body_site,
  after.status               AS status,
  after.report               AS report,
  after.images               AS images,
  after.ordered_at           AS ordered_at,
  after.updated_at           AS updated_at
FROM bronze.imaging_studies
