/** Audiences that administrators added to those of POSTERN_AUDIENCE. Instances read them again at each change. */
export const audiences = `
CREATE TABLE audiences (
  name text PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER audiences_ring_trust AFTER INSERT OR DELETE ON audiences
  FOR EACH STATEMENT EXECUTE FUNCTION postern_ring_trust();
`;
