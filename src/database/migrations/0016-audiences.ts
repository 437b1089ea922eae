/** Audiences that administrators added to those of POSTERN_AUDIENCE. */
export const audiences = `
CREATE TABLE audiences (
  name text PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
`;
